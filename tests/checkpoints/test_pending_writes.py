"""Pending writes of a checkpoint: the answers that were consumed, and the tasks that have a result."""

from __future__ import annotations

from langgraph.checkpoint.serde.types import ERROR, INTERRUPT, RESUME
from langgraph.types import Interrupt

from slipway.checkpoints.interrupt_answers import NULL_TASK, InterruptAnswers
from slipway.checkpoints.stored_results import RETURN, StoredResults


def test_an_answer_without_an_id_is_consumed_by_the_task_that_resumes() -> None:
    answers = InterruptAnswers()
    answers.read([(NULL_TASK, RESUME, "yes"), ("interrupted", INTERRUPT, [Interrupt("?", "one")])])
    assert answers.consume("other", [("value", 1)]) == []
    assert answers.consume("interrupted", [("value", 1)]) == []
    assert answers.consume("interrupted", [(RESUME, ["yes"])]) == [NULL_TASK]


def test_an_answer_by_interrupt_id_is_consumed_once() -> None:
    answers = InterruptAnswers()
    answers.read([("interrupted", INTERRUPT, [Interrupt("?", "one")])])
    assert answers.consume("interrupted", [(RESUME, ["yes"]), (INTERRUPT, [Interrupt("??", "two")])]) == ["one"]
    assert answers.consume("interrupted", [(RESUME, ["yes"])]) == []
    assert answers.consume("interrupted", [(RESUME, ["yes", "no"])]) == ["two"]


def test_only_a_task_that_returned_has_a_result() -> None:
    results = StoredResults()
    results.add(
        [("failed", ERROR, "E"), ("interrupted", INTERRUPT, [Interrupt("?", "one")]), ("interrupted", RESUME, ["yes"])]
    )
    results.add([("done", "value", 1), ("done", "other", 2), ("called", RETURN, 3), (NULL_TASK, "value", 4)])
    assert results.writes_of("done") == [("value", 1), ("other", 2)]
    assert results.writes_of("called") == [(RETURN, 3)]
    for task_id in ("failed", "interrupted", NULL_TASK, "never started"):
        assert results.writes_of(task_id) is None
