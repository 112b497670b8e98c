"""Deliveries to hooks are counted by hook and by what became of them."""

from __future__ import annotations

import httpx

from tests.hooks.conftest import Served, deliver
from tests.hooks.senders import PUSH, encoded, github
from tests.metrics.scrape import scrape_until


async def test_deliveries_are_counted_by_hook_and_result(served: Served, client: httpx.AsyncClient) -> None:
    name = "slipway_hook_deliveries_total"
    for _ in range(3):
        await deliver(client, "github", PUSH)
    await deliver(client, "github", PUSH | {"after": "b"}, event="star")
    await deliver(client, "github", {}, event="push")
    body = encoded(PUSH)
    await deliver(client, "github", body, github(body, secret="wrong"))
    await deliver(client, "acme", {"zen": "Keep it simple."}, event="ping")
    page = await scrape_until(served.url, name, 7)
    found = {
        result: page.value(name, hook="github", result=result)
        for result in ("accepted", "repeated", "ignored", "rejected", "refused")
    }
    assert found == {"accepted": 1, "repeated": 2, "ignored": 1, "rejected": 1, "refused": 1}
    assert page.value(name, hook="acme", result="ignored") == 1
