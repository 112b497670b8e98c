"""The duty that finishes deliveries which were stored and not answered."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import httpx
import pytest

from slipway import failpoints
from slipway.errors import Overloaded
from slipway.graphs.registry import Registry
from slipway.hooks.record import DeliveryState, HookDelivery
from slipway.runs.submit import RunSubmission
from slipway.services import Services, open_services
from slipway.settings import Settings
from slipway_workers.duties.hook_deliveries import MOST_TRIES, HookDeliveries
from tests.hooks.conftest import Served, deliver
from tests.hooks.senders import PUSH


@pytest.fixture
async def services(settings: Settings, graphs: Registry) -> AsyncIterator[Services]:
    async with open_services(settings, graphs, "worker") as services:
        yield services


@pytest.fixture
def dying(monkeypatch: pytest.MonkeyPatch, services: Services, client: httpx.AsyncClient) -> Any:
    """Delivers PUSH to a web process that stops in the middle: it does nothing after it has stored the delivery. The
    delivery is due at once."""

    async def deliver_and_die(**change: Any) -> HookDelivery:
        def die(failpoint: str) -> None:
            if failpoint == "hook_stored":
                raise KeyError("the process dies here")

        with monkeypatch.context() as patched:
            patched.setattr(failpoints, "reach", die)
            assert (await deliver(client, "github", PUSH | change)).status_code == 500
        (newest, *_) = (await services.hook_reads.page("github", limit=1)).deliveries
        assert newest.state is DeliveryState.RECEIVED
        await _make_due(services)
        return newest

    return deliver_and_die


async def _make_due(services: Services) -> None:
    key = f"{services.keys.prefix}:hooks:unanswered"
    for delivery in await services.pipeline.send("ZRANGE", key, 0, -1):
        await services.pipeline.send("ZADD", key, 1, delivery)


async def _state(services: Services, delivery: HookDelivery) -> HookDelivery:
    return await services.hook_reads.delivery(delivery.hook, delivery.delivery)


async def test_a_round_finishes_what_was_not_answered(
    dying: Any, services: Services, served: Served, client: httpx.AsyncClient
) -> None:
    delivery = await dying()
    duty = HookDeliveries(services)
    assert await duty.run_once() == 1
    finished = await _state(services, delivery)
    assert (finished.state, finished.status) == (DeliveryState.ACCEPTED, 202)
    assert (await services.runs.find(delivery.run_id)).metadata["hook_delivery"] == delivery.delivery
    await _make_due(services)
    assert await duty.run_once() == 0
    again = await deliver(client, "github", PUSH)
    assert (again.json()["run_id"], again.headers["slipway-repeated"]) == (delivery.run_id, "true")


async def test_what_cannot_be_done_gets_an_error(dying: Any, services: Services, client: httpx.AsyncClient) -> None:
    await client.put("/ops/graphs/notes", json={"reason": "repair"})
    await services.switch_watch.refresh()
    delivery = await dying()
    await HookDeliveries(services).run_once()
    finished = await _state(services, delivery)
    assert (finished.state, finished.status) == (DeliveryState.REJECTED, None)
    assert finished.answer["code"] == "switch.off"


async def test_what_has_no_room_now_is_tried_again(
    dying: Any, services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    delivery = await dying()

    async def overloaded(*_: Any) -> None:
        raise Overloaded(0.9, 0.85, 1)

    duty = HookDeliveries(services)
    with monkeypatch.context() as patched:
        patched.setattr(RunSubmission, "submit", overloaded)
        for _ in range(MOST_TRIES - 1):
            await duty.run_once()
            assert (await _state(services, delivery)).state is DeliveryState.RECEIVED
            await _make_due(services)
    await duty.run_once()
    assert (await _state(services, delivery)).state is DeliveryState.ACCEPTED


async def test_a_hook_that_is_gone_is_an_error(dying: Any, services: Services) -> None:
    delivery = await dying()
    without_hooks = replace(services, config=replace(services.config, hooks={}))
    await HookDeliveries(without_hooks).run_once()
    assert (await _state(services, delivery)).answer["kind"] == "hook"
