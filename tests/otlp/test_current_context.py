"""What OpenTelemetry and new runs are told of a run whose spans nobody records."""

from __future__ import annotations

from contextvars import copy_context

import pytest
from opentelemetry.trace import Span, get_current_span

from slipway.otlp.current_context import current_trace, enter_run
from slipway.telemetry.trace_context import TraceContext, new_span_id, new_trace_id
from slipway.tracing.decision import TraceDecision
from slipway.tracing.run_trace import run_trace_from


@pytest.mark.parametrize("state", ["", "ot=th:8"])
def test_spans_and_runs_of_its_nodes_are_parts_of_its_trace(state: str) -> None:
    runs = [TraceContext(new_trace_id(), new_span_id(), False, state) for _ in range(2)]

    def inside(run: TraceContext) -> None:
        enter_run(lambda: run)
        span = get_current_span()
        assert not span.is_recording()
        assert f"{span.get_span_context().trace_id:032x}" == run.trace_id
        assert current_trace() == run
        stored = TraceDecision(keep=True, keep_ratio=0, sampler=lambda trace_id, parent: True).new_trace()
        made = run_trace_from(stored.encode())
        assert made is not None
        assert (made.context.trace_id, made.parent_id, made.context.state) == (run.trace_id, run.span_id, state)

    for run in runs:
        copy_context().run(inside, run)
    assert current_trace() is None


def test_a_span_that_is_handed_over_belongs_to_its_run_everywhere() -> None:
    """Such as to a thread of the project that works for all runs."""
    one, other = (TraceContext(new_trace_id(), new_span_id(), False) for _ in range(2))

    def handed_over(run: TraceContext) -> Span:
        enter_run(lambda: run)
        return get_current_span()

    span = copy_context().run(handed_over, one)
    copy_context().run(handed_over, other)
    assert f"{span.get_span_context().trace_id:032x}" == one.trace_id
    assert one.trace_id in repr(span)
