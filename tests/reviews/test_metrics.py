"""How long people took, as the metrics tell it."""

from __future__ import annotations

import pytest

from tests.metrics.scrape import Scrape, scrape_until
from tests.reviews.conftest import Desk, let_time_come

NAME = "slipway_approval_wait_seconds_count"


def by_decision(page: Scrape, graph: str) -> dict[str, float]:
    return {each: page.value(NAME, graph=graph, decision=each) for each in ("decided", "expired", "superseded")}


@pytest.mark.parametrize(("graph", "decision"), [("timed", "expired"), ("cancelled", "superseded")])
async def test_a_review_that_nobody_decided_in_time_counts_once(desk: Desk, graph: str, decision: str) -> None:
    """With a default answer it has expired. With `cancel` its run is cancelled, so nobody can decide it."""
    _, (review,) = await desk.ask(graph)
    for _ in range(3):
        await let_time_come(desk, review, "due_us")
    page = await scrape_until(str(desk.client.base_url), NAME, 1, graph=graph, decision=decision)
    assert by_decision(page, graph) == {"decided": 0, "expired": 0, "superseded": 0} | {decision: 1}
    assert 0 < page.value("slipway_approval_wait_seconds_sum", graph=graph, decision=decision) < 60
    assert page.value("slipway_reviews_undecided") == 0
    assert (await desk.read(review))["state"] == decision


async def test_a_decision_and_an_answer_of_the_protocol_count_as_decided(desk: Desk) -> None:
    _, (review,) = await desk.ask("one")
    await desk.decide(review, {"kind": "answer", "value": "yes"})
    thread, _ = await desk.ask("one")
    await desk.answer(thread, "one", "yes")
    await desk.answers(thread)
    page = await scrape_until(str(desk.client.base_url), NAME, 2, graph="one", decision="decided")
    assert by_decision(page, "one") == {"decided": 2, "expired": 0, "superseded": 0}
