"""The current span of OpenTelemetry while a run executes, so that spans of the project's code join its trace.

Instrumented libraries ask OpenTelemetry for the current span when they start theirs, and when they send a request. The
answer is the span that Slipway records at that moment: of a call of a model or a tool, of a node, or of the attempt. It
is found when it is asked for, so an execution without such libraries pays nothing for it.
"""

from __future__ import annotations

from typing import Final

from opentelemetry import context
from opentelemetry.trace import (
    INVALID_SPAN,
    INVALID_SPAN_CONTEXT,
    NonRecordingSpan,
    SpanContext,
    format_span_id,
    format_trace_id,
    get_current_span,
    set_span_in_context,
)

from slipway.otlp.sampling import span_context
from slipway.telemetry.current_trace import CURRENT_TRACE, FindTrace
from slipway.telemetry.trace_context import TraceContext
from slipway.tracing.current_call import executing_span

_KEY: Final = next(iter(set_span_in_context(INVALID_SPAN, context.Context())))
"""The key under which OpenTelemetry keeps the current span in a context."""


class _CurrentSpan(NonRecordingSpan):
    """Stands for the span of Slipway that is current. Code that does not belong to the run, but has the context or the
    span of it, such as a thread that exports batches, gets the root span of the run."""

    def __init__(self, root_of_run: FindTrace) -> None:
        super().__init__(INVALID_SPAN_CONTEXT)  # not used: to make one takes long, and most executions ask for none
        self._root_of_run = root_of_run

    def get_span_context(self) -> SpanContext:
        span = executing_span()
        current = self._root_of_run() if span is None else span.context
        return INVALID_SPAN_CONTEXT if current is None else span_context(current, is_remote=False)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.get_span_context()!r})"


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


def enter_run(root_of_run: FindTrace) -> None:
    """From now on, the spans that the current task starts are parts of the trace of the run whose root span
    `root_of_run` finds. They are exported if it is. Runs that it creates are parts of the trace as well."""
    CURRENT_TRACE.set(root_of_run)
    context.attach(context.Context({_KEY: _CurrentSpan(root_of_run)}))
