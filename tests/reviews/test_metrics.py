"""How long reviews wait is counted once for each of them, by what became of it."""

from __future__ import annotations

from slipway.telemetry.table.people_metrics import APPROVAL_WAIT_SECONDS
from tests.metrics.stored_figures import stored_figures
from tests.reviews.conftest import Desk


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
