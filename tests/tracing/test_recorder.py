"""The recorder of an attempt by itself: nothing is lost between threads, everything is bounded."""

from __future__ import annotations

import gc
import secrets
import threading
import weakref
from collections import Counter
from collections.abc import Sequence
from typing import Any

import ormsgpack
import pytest

from slipway.errors import StoredDataError
from slipway.runs.record import new_id
from slipway.serialization.at_rest import opened
from slipway.serialization.places import trace_place
from slipway.telemetry.span import Span, SpanKind
from slipway.telemetry.trace_context import TraceContext, new_span_id, new_trace_id
from slipway.tracing.attempt_trace import AttemptTrace, OpenSpan
from slipway.tracing.decision import TraceDecision
from slipway.tracing.run_trace import RunTrace, is_exported, is_recorded, run_trace_from, trace_id_in
from slipway.tracing.stored_form import WORKER_DIED, SpanPart, spans_from
from slipway.tracing.traced_run import TracedRun


def traced_run(*, kept: bool = True, sampled: bool = False, attempt: int = 1) -> TracedRun:
    trace = RunTrace(TraceContext(new_trace_id(), new_span_id(), sampled), kept=kept)
    return TracedRun(trace, new_id(), new_id(), new_id(), "graph", "v1", attempt, 0)


def recorder(run: TracedRun, **options: Any) -> AttemptTrace:
    return AttemptTrace(run.trace, run.run_id, run.attempt, lambda: run, **options)


def announced(trace: AttemptTrace, task_id: str) -> OpenSpan:
    return trace.announced.pop(task_id)


def read(trace: AttemptTrace, parts: Sequence[SpanPart]) -> tuple[list[Span], int]:
    place = trace_place(trace.run.run_id)
    return spans_from([opened(part, place) for part, _ in parts if part], trace.run.root_id)


class Collected:
    """A sink that keeps what it receives."""

    def __init__(self) -> None:
        self.spans: list[Span] = []

    def ended(self, run: TracedRun, span: Span) -> None:
        self.spans.append(span)


def test_no_span_of_any_thread_is_lost_or_stored_twice() -> None:
    sink = Collected()
    trace = recorder(traced_run(sampled=True), worker="w", max_bytes=1 << 22, sink=sink)
    parts, ready = [trace.part()], threading.Barrier(5)

    def work(name: str) -> None:
        ready.wait()
        for number in range(2000):
            span = trace.start(SpanKind.TOOL, name, trace.attempt)
            span.end("Error" if number % 2 else "")

    threads = [threading.Thread(target=work, args=(str(number),)) for number in range(4)]
    for thread in threads:
        thread.start()
    ready.wait()
    while any(thread.is_alive() for thread in threads):
        parts.append(trace.part())
    for thread in threads:
        thread.join()
    parts.append(trace.last_part("completed", ""))
    trace.close("")
    spans, left_out = read(trace, parts)
    tools = [span for span in spans if span.kind is SpanKind.TOOL]
    assert len(tools) + left_out == 8000
    assert all(span.ended_us for span in spans)
    assert Counter(span.error for span in sink.spans if span.kind is SpanKind.TOOL) == {"": 4000, "Error": 4000}
    assert {span.span_id for span in spans} <= {span.span_id for span in sink.spans}


def test_spans_that_wait_for_a_write_group_are_bounded() -> None:
    trace = recorder(traced_run(), worker="w", max_bytes=1 << 30)
    for _ in range(20_000):
        trace.start(SpanKind.TOOL, "t", trace.attempt).end()
    spans, left_out = read(trace, [trace.last_part("completed", "")])
    assert len(spans) + left_out == 20_001
    assert len(spans) < 5000


def test_names_errors_and_attributes_are_bounded() -> None:
    trace = recorder(traced_run(), worker="w" * 10_000)
    trace.start(SpanKind.NODE, "n" * 10_000, trace.attempt).end("e" * 10_000, model="m" * 10_000)
    spans, _ = read(trace, [trace.last_part("completed", "c" * 100)])
    assert (
        max(len(text) for span in spans for text in (span.name, span.error, *map(str, span.attributes.values()))) == 128
    )


def test_inputs_and_outputs_are_left_out_before_spans_are() -> None:
    trace = recorder(traced_run(), worker="w", max_bytes=20_000, content=True)
    parts = []
    for number in range(20):
        span = trace.start(SpanKind.MODEL, "m", trace.attempt)
        span.add(tokens_in=number)
        if number % 2:  # of some spans, the start is stored first
            parts.append(trace.part())
        span.add_content("output", secrets.token_hex(1000))
        span.end()
        parts.append(trace.part())
    spans, left_out = read(trace, [*parts, trace.last_part("completed", "")])
    models = [span for span in spans if span.kind is SpanKind.MODEL]
    assert ([span.attributes["tokens_in"] for span in models], left_out) == (list(range(20)), 0)
    assert 0 < sum("output" in span.attributes for span in models) < 20


def test_what_no_stored_form_has_fails_no_run() -> None:
    trace = recorder(traced_run(), worker="w")
    trace.start(SpanKind.MODEL, "m\udcff", trace.attempt).end("\ud800", model="x\ud800", tokens_in=1 << 100)
    spans, _ = read(trace, [trace.last_part("completed", "")])
    assert [(span.name, span.error, dict(span.attributes)) for span in spans if span.kind is SpanKind.MODEL] == [
        ("m?", "?", {"model": "x?", "tokens_in": (1 << 63) - 1})
    ]


def test_code_that_outlives_its_node_records_nothing_more() -> None:
    sink = Collected()
    trace = recorder(traced_run(sampled=True), worker="w", sink=sink)
    attempt = trace.attempt
    trace.last_part("completed", "")
    trace.close("")
    attempt.trace.start(SpanKind.TOOL, "late", attempt).end()
    assert [str(span.kind) for span in sink.spans] == ["attempt"]


def test_attributes_may_be_added_while_a_part_is_made() -> None:
    trace, ended = recorder(traced_run(), worker="w", max_bytes=1 << 22), threading.Event()

    def add() -> None:
        while not ended.is_set():
            span = trace.start(SpanKind.MODEL, "m", trace.attempt)
            for number in range(20):
                span.add(**{f"a{number}": number})
            span.end()

    thread = threading.Thread(target=add)
    thread.start()
    try:
        for _ in range(2000):
            trace.part()
    finally:
        ended.set()
        thread.join()


def test_a_settle_that_is_repeated_stores_the_same_spans_with_another_end() -> None:
    trace = recorder(traced_run(), worker="w")
    trace.superstep_started(1)
    trace.superstep_ended()
    trace.last_part("completed", "")
    spans, _ = read(trace, [trace.last_part("cancelled", "")])
    assert [(str(span.kind), span.attributes.get("phase")) for span in spans] == [
        ("attempt", "cancelled"),
        ("superstep", None),
    ]


def test_a_superstep_has_the_error_of_its_node() -> None:
    trace = recorder(traced_run(), worker="w")
    trace.superstep_started(1)
    trace.task_announced("a", "fails")
    trace.task_announced("b", "waits")
    failing = announced(trace, "a")
    waiting = announced(trace, "b")
    trace.node_ended(failing, "ValueError")
    trace.node_ended(waiting, "cancelled")
    spans, _ = read(trace, [trace.last_part("failed", "node.failed")])
    assert {f"{span.kind} {span.name}": span.error for span in spans} == {
        "attempt 1": "node.failed",
        "superstep 1": "ValueError",
        "node fails": "ValueError",
        "node waits": "cancelled",
    }


def test_what_a_ceiling_stops_has_the_code_of_the_ceiling() -> None:
    trace = recorder(traced_run(), worker="w")
    trace.superstep_started(1)
    trace.task_announced("a", "waits")
    node = announced(trace, "a")
    trace.stopped_by = "ceiling.time"
    trace.node_ended(node, "cancelled")
    spans, _ = read(trace, [trace.last_part("failed", "ceiling.time")])
    assert {span.error for span in spans} == {"ceiling.time"}


def test_a_later_attempt_has_the_bytes_that_are_left() -> None:
    first = recorder(traced_run(), worker="w", max_bytes=4096)
    for _ in range(200):
        first.start(SpanKind.TOOL, "tool", first.attempt).end()
    _, used = first.last_part("queued", "")
    second = recorder(traced_run(attempt=2), worker="w", max_bytes=4096, stored_bytes=used)
    second.start(SpanKind.TOOL, "tool", second.attempt).end()
    for _ in range(500):
        second.start(SpanKind.TOOL, "tool", second.attempt).end()
    part, total = second.last_part("completed", "")
    assert used <= 4096
    assert total == used + len(part) <= 4096 + 200, "the end of an attempt is always stored"


def test_a_sink_that_raises_fails_no_node() -> None:
    class Broken:
        def ended(self, run: TracedRun, span: Span) -> None:
            raise RuntimeError("broken")

    trace = recorder(traced_run(sampled=True), worker="w", sink=Broken())
    trace.start(SpanKind.NODE, "n", trace.attempt).end()
    trace.close("")


def test_tasks_that_were_announced_and_never_started_leave_nothing() -> None:
    sink = Collected()
    trace = recorder(traced_run(sampled=True), worker="w", sink=sink)
    trace.superstep_started(1)
    trace.task_announced("stored", "node")
    trace.superstep_ended()
    trace.superstep_started(2)
    trace.task_announced("stopped", "node")
    parts = [trace.part(), trace.last_part("queued", "")]
    spans, _ = read(trace, parts)
    assert [(span.name, span.attributes) for span in spans if span.kind is SpanKind.NODE] == [
        ("node", {"executed": False})
    ]
    assert all(span.ended_us for span in spans)


def test_a_superstep_of_a_subgraph_may_be_left_out() -> None:
    trace = recorder(traced_run(), worker="w")
    for _ in range(5000):
        trace.start(SpanKind.TOOL, "t", trace.attempt)
    node = trace.start(SpanKind.NODE, "n", trace.attempt)
    done = threading.Event()

    def start() -> None:
        trace.node_started(node, "inner", step=1, namespace="n:1|inner:2")
        done.set()

    threading.Thread(target=start, daemon=True).start()
    assert done.wait(10)
    trace.last_part("completed", "")


def test_a_closed_recorder_is_freed_without_the_garbage_collector() -> None:
    gc.disable()
    try:
        sink = Collected()
        freed = weakref.ref(sink)
        trace = recorder(traced_run(sampled=True), worker="w", sink=sink)
        for number in range(3):
            trace.superstep_started(number)
            trace.task_announced("a", "node")
            node = announced(trace, "a")
            trace.node_ended(trace.node_started(node, "inner", step=1, namespace="n:1|inner:2"))
            trace.node_ended(node)
        trace.last_part("completed", "")
        trace.close("")
        del node, trace, sink
        assert freed() is None
    finally:
        gc.enable()


def test_the_form_of_a_later_release_and_damaged_parts() -> None:
    later = ormsgpack.packb([99, "anything"])
    assert spans_from([later], new_span_id()) == ([], 0)
    for damaged in (b"\xc1", ormsgpack.packb([1, 2]), ormsgpack.packb([1, 0, 1 << 20, 0, [1, 99, "n", 0, 0]])):
        with pytest.raises(StoredDataError):
            spans_from([damaged], new_span_id())


def test_the_end_of_a_killed_attempt_has_the_same_id_at_each_reading() -> None:
    root, end = new_span_id(), ormsgpack.packb({"attempt": 3, "worker": "w", "started_us": 5, "ended_us": 9})
    (first,), (again,) = spans_from([end], root)[0], spans_from([end], root)[0]
    assert first == again
    assert (first.name, first.error, first.parent_id, first.started_us, first.ended_us) == (
        "3",
        WORKER_DIED,
        root,
        5,
        9,
    )


@pytest.mark.parametrize("text", ["", "nonsense", "00-0-0-01,k,,", ",,,", "\udcff"])
def test_a_trace_that_cannot_be_read_is_none(text: str) -> None:
    stored = text.encode(errors="surrogateescape")
    assert run_trace_from(stored) is None
    assert trace_id_in(stored) == ""
    assert not is_exported(stored)
    assert not is_recorded(stored)


def test_a_trace_is_stored_as_text() -> None:
    context = TraceContext(new_trace_id(), new_span_id(), True)
    link = TraceContext("a" * 32, "b" * 16, False)
    with_state = context._replace(state="ot=th:8,vendor=a b")
    for trace in (
        RunTrace(context),
        RunTrace(context, new_span_id(), True, link),
        RunTrace(with_state),
        RunTrace(with_state, new_span_id(), True, link),
    ):
        assert run_trace_from(trace.stored().encode()) == trace


@pytest.mark.parametrize("sampled", [False, True])
@pytest.mark.parametrize("kept", [False, True])
@pytest.mark.parametrize("parent_id", ["", "c" * 16])
@pytest.mark.parametrize("state", ["", "ot=th:8"])
def test_what_most_code_needs_of_a_stored_trace(sampled: bool, kept: bool, parent_id: str, state: str) -> None:
    context = TraceContext(new_trace_id(), new_span_id(), sampled, state)
    stored = RunTrace(context, parent_id, kept).stored().encode()
    assert trace_id_in(stored) == context.trace_id
    assert is_exported(stored) is sampled
    assert is_recorded(stored) is (sampled or kept)


def test_each_process_keeps_the_same_traces() -> None:
    ids = [new_trace_id() for _ in range(2000)]
    few, many = TraceDecision(True, 0.1), TraceDecision(True, 0.5)
    kept_by_few: Any = [trace_id for trace_id in ids if few.keeps(trace_id)]
    kept_by_many = {trace_id for trace_id in ids if many.keeps(trace_id)}
    assert 120 < len(kept_by_few) < 290
    assert set(kept_by_few) < kept_by_many
    assert not any(TraceDecision(True, 0).keeps(trace_id) for trace_id in ids)
    assert all(TraceDecision(True, 1).keeps(trace_id) for trace_id in ids)
