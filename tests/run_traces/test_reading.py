"""Traces of runs on a real Valkey: what records tell, and spans that cannot be read."""

from __future__ import annotations

import pytest

from slipway.reviews.record import ReviewState
from slipway.run_traces.derived_spans import webhook_spans
from slipway.run_traces.reading import RunTraces
from slipway.run_traces.record import AssembledTrace
from slipway.runs.cancel_reasons import Action
from slipway.runs.operator_pause import OperatorPause
from slipway.runs.record import Phase, Run
from slipway.settings import Settings
from slipway.telemetry.span import SpanKind
from slipway.webhooks.delivery_summary import DeliveryState, DeliverySummary
from slipway.webhooks.try_record import TryRecord
from tests.runs.conftest import Stores, graphs, stores
from tests.waiting_reasons.test_reasons import asks_a_group, at_a_breakpoint, cancelled, delayed, failed, held

__all__ = ["graphs", "stores"]


async def trace_of(stores: Stores, run: Run) -> AssembledTrace:
    return await RunTraces(stores.pipeline, stores.shards, Settings()).of_run(run.run_id)


def shown(trace: AssembledTrace) -> list[tuple[str, str, bool]]:
    """Kind, name and whether it has ended, of each span."""
    return [(each.span.kind.value, each.span.name, each.span.ended_us is not None) for _, each in trace.spans]


async def test_a_run_at_a_breakpoint_waits_for_an_answer(stores: Stores) -> None:
    trace = await trace_of(stores, await at_a_breakpoint(stores))
    assert ("approval", "answer", False) in shown(trace)
    assert trace.ended_us is None


async def test_a_review_that_nobody_has_decided_is_open(stores: Stores) -> None:
    trace = await trace_of(stores, await asks_a_group(stores))
    (approval,) = [each.span for _, each in trace.spans if each.span.kind is SpanKind.APPROVAL]
    assert (approval.name, approval.ended_us) == ("ask", None)
    assert approval.attributes["review_state"] == ReviewState.OPEN.value


async def test_a_delay_before_a_run_is_due_is_a_span(stores: Stores) -> None:
    trace = await trace_of(stores, await delayed(stores))
    names = [name for _, name, _ in shown(trace)]
    assert "delay" in names
    assert "queue" not in names, "it is not due"


async def test_nothing_of_the_trace_of_a_delayed_run_is_in_the_future(stores: Stores) -> None:
    run = await delayed(stores)
    trace = await trace_of(stores, run)
    assert ("queue", "delay", False) in shown(trace)
    assert all((each.span.ended_us or each.span.started_us) <= trace.now_us for _, each in trace.spans)
    assert trace.last_us == trace.now_us
    assert trace.totals.queue_us < 300 * 1_000_000
    await stores.runs.cancel(run.thread_id, run.run_id, Action.INTERRUPT, reason="not needed")
    trace = await trace_of(stores, run)
    assert ("queue", "delay", True) in shown(trace)
    assert trace.last_us <= trace.now_us
    assert trace.totals.queue_us < 300 * 1_000_000


async def test_a_queued_run_that_is_cancelled_has_waited(stores: Stores) -> None:
    trace = await trace_of(stores, await cancelled(stores))
    assert ("queue", "queue", True) in shown(trace)
    assert trace.totals.queue_us > 0


async def test_records_tell_attempts_and_the_first_wait_without_spans(stores: Stores) -> None:
    trace = await trace_of(stores, await failed(stores))
    assert "Nothing was traced" in str(trace.run.problem)
    assert (trace.totals.attempts, trace.totals.errors) == (1, 1)
    assert ("queue", "queue", True) in shown(trace)
    assert trace.totals.queue_us > 0


async def test_a_pause_is_a_span_of_its_own(stores: Stores) -> None:
    run = await stores.create_run()
    await stores.scripts.run_pause(run.run_id, OperatorPause("eve", "2026-01-01T00:00:00+00:00"))
    trace = await trace_of(stores, run)
    assert ("queue", "paused", False) in shown(trace)
    (pause,) = [each.span for _, each in trace.spans if each.span.name == "paused"]
    assert pause.attributes["paused_by"] == "eve"


@pytest.mark.parametrize("arrange", [failed, cancelled, held], ids=lambda each: each.__name__)
async def test_every_end_is_shown(stores: Stores, arrange: object) -> None:
    run = await arrange(stores)  # type: ignore[operator]
    trace = await trace_of(stores, run)
    (of_run,) = [each.span for _, each in trace.spans if each.span.kind is SpanKind.RUN]
    assert of_run.error == {"failed": "node.failed", "cancelled": "cancelled", "paused": ""}[trace.run.phase]


async def test_spans_that_cannot_be_read_are_a_problem_of_the_trace_and_not_an_error(stores: Stores) -> None:
    run = await stores.create_run()
    context = f"00-{'a' * 32}-{'b' * 16}-00"
    await stores.pipeline.send("HSET", stores.keys.run(run.run_id), "trace", f"{context},k,,", "attempt", 1)
    await stores.pipeline.send("RPUSH", stores.keys.run_trace(run.run_id), b"damaged")
    trace = await trace_of(stores, run)
    assert trace.trace_id == "a" * 32
    assert str(trace.run.problem).startswith("Its spans cannot be read: ")
    assert ("run", "steps", False) in shown(trace)


async def test_the_phase_of_a_run_that_executes_has_no_end(stores: Stores) -> None:
    await stores.create_run()
    run = await stores.claim_one()
    trace = await trace_of(stores, run)
    assert (trace.run.phase, trace.ended_us) == (Phase.RUNNING.value, None)
    assert "Nothing was traced" in str(trace.run.problem)


async def test_the_runs_of_a_chain_are_one_trace_and_those_next_to_the_asked_one_come_first(
    stores: Stores, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = await at_a_breakpoint(stores)
    second = await stores.create_run(first.thread_id, options={"input": None})
    await stores.settle(await stores.claim_one())
    trace = await trace_of(stores, first)
    assert [run.run_id for run in trace.runs] == [first.run_id, second.run_id]
    assert ("approval", "answer", True) in shown(trace)
    monkeypatch.setattr("slipway.run_traces.reading.MOST_SPANS", 1)
    problems = [str(run.problem) for run in (await trace_of(stores, second)).runs]
    assert problems[0].startswith("Its spans are not shown")
    assert not problems[1].startswith("Its spans are not shown")


def test_each_try_of_a_webhook_is_a_span() -> None:
    delivery = DeliverySummary(
        "msg", DeliveryState.DELIVERED, 1, "run.completed", None, None, "run", None, None, 2, None, None, None, None
    )
    tries = [TryRecord(1, 1000, 20, 503, "503 Service Unavailable"), TryRecord(2, 9000, 10, 200), TryRecord(3, 10_000)]
    spans = webhook_spans("root", [delivery], {"msg": tries})
    assert [(each.started_us, each.ended_us) for each in spans] == [(1000, 21_000), (9000, 19_000), (10_000, None)]
    assert [each.error for each in spans] == ["503 Service Unavailable", "", "worker.died"]
    assert [each.attributes.get("status") for each in spans] == [503, 200, None]
    assert len({each.span_id for each in spans}) == 3
