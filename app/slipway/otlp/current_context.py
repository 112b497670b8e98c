"""The current span of OpenTelemetry while a run executes, so that spans of the project's code join its trace.

Instrumented libraries ask OpenTelemetry for the current span when they start theirs, and when they send a request. The
answer is the span that Slipway records at that moment: of a call of a model or a tool, of a node, or of the attempt. It
is found when it is asked for, so an execution without such libraries pays nothing for it.
"""

from __future__ import annotations

from typing import Final

from opentelemetry import context
from opentelemetry.trace import (
    INVALID_SPAN_CONTEXT,
    NonRecordingSpan,
    SpanContext,
    format_span_id,
    format_trace_id,
    get_current_span,
    set_span_in_context,
)

from slipway.otlp.sampling import span_context
from slipway.telemetry.current_trace import CURRENT_TRACE
from slipway.telemetry.trace_context import TraceContext
from slipway.tracing.current_call import executing_span


class _CurrentSpan(NonRecordingSpan):
    """Stands for the span of Slipway that is current, or the run if its spans are not recorded."""

    def get_span_context(self) -> SpanContext:
        span = executing_span()
        current = CURRENT_TRACE.get() if span is None else span.context
        return INVALID_SPAN_CONTEXT if current is None else span_context(current, is_remote=False)


_IN_RUNS: Final = set_span_in_context(_CurrentSpan(INVALID_SPAN_CONTEXT), context.Context())
"""The context of OpenTelemetry in all executions: to make one for each would take longer than to record a span."""


def current_trace() -> TraceContext | None:
    """The span of the code that executes, for a request that it sends: one that the project's code has made, or that of
    Slipway. None if there is no trace."""
    current = get_current_span().get_span_context()
    if current.is_valid:
        return TraceContext(
            format_trace_id(current.trace_id),
            format_span_id(current.span_id),
            current.trace_flags.sampled,
            current.trace_state.to_header(),
        )
    span = executing_span()
    return None if span is None else span.context


def enter_run(run: TraceContext) -> None:
    """From now on, the spans that the current task starts are parts of the trace of the run whose root span is `run`.
    They are exported if it is. Runs that it creates are parts of the trace as well."""
    CURRENT_TRACE.set(run)
    context.attach(_IN_RUNS)
