"""How long reviews wait is counted once for each of them, by what became of it."""

from __future__ import annotations

import pytest

from slipway.telemetry.table.people_metrics import APPROVAL_WAIT_SECONDS
from tests.metrics.scrape import scrape_until
from tests.metrics.stored_figures import stored_figures
from tests.reviews.conftest import Desk, let_time_come


async def _decisions(desk: Desk) -> dict[tuple[str, ...], int]:
    figures = await stored_figures(desk.services.pipeline, desk.services.keys)
    return {labels: int(waits.count) for labels, waits in figures.distributions(APPROVAL_WAIT_SECONDS).items()}


async def test_a_decision_and_an_ordinary_answer_are_counted_once(desk: Desk) -> None:
    thread, [review] = await desk.ask("one")
    assert await _decisions(desk) == {}
    await desk.decide(review, {"kind": "answer", "value": "yes"})
    await desk.answers(thread)
    assert await _decisions(desk) == {("one", "decided"): 1}
    thread, _ = await desk.ask("one")
    await desk.answer(thread, "one", "yes")
    await desk.answers(thread)
    assert await _decisions(desk) == {("one", "decided"): 2}


async def test_a_review_that_nobody_can_decide_any_more_is_superseded(desk: Desk) -> None:
    thread, _ = await desk.ask("one")
    await desk.post(f"/threads/{thread}/runs/wait", {"assistant_id": "one", "input": {"answers": []}})
    assert await _decisions(desk) == {("one", "superseded"): 1}


@pytest.mark.parametrize(("graph", "becomes"), [("timed", "expired"), ("cancelled", "superseded")])
async def test_a_review_that_nobody_has_decided_in_time_is_counted_once(desk: Desk, graph: str, becomes: str) -> None:
    """With a default answer it has expired. With `cancel` its run is cancelled, so nobody can decide it any more."""
    _, [review] = await desk.ask(graph)
    for _ in range(3):
        await let_time_come(desk, review, "due_us")
    assert (await desk.read(review))["state"] == becomes
    assert await _decisions(desk) == {(graph, becomes): 1}
    page = await scrape_until(
        str(desk.client.base_url), "slipway_approval_wait_seconds_count", 1, graph=graph, decision=becomes
    )
    assert 0 < page.value("slipway_approval_wait_seconds_sum", graph=graph, decision=becomes) < 60
    assert page.value("slipway_reviews_undecided") == 0
