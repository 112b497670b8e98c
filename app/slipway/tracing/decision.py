"""Which runs are traced. Decided once for each chain of runs, when its first run is created."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Final

from slipway.telemetry.current_trace import CURRENT_TRACE
from slipway.telemetry.trace_context import TraceContext, new_span_id, new_trace_id
from slipway.tracing.current_call import executing_span
from slipway.tracing.run_trace import RunTrace

Sampler = Callable[[str, TraceContext | None], bool]
"""Whether a trace is exported: its id, and the context of the caller if there is one."""

_IDS: Final = 1 << 56


def never(trace_id: str, parent: TraceContext | None) -> bool:
    """The sampler without an exporter."""
    return False


@dataclass(frozen=True, slots=True)
class TraceDecision:
    """Makes the trace of a new run."""

    keep: bool = False
    """Whether spans are stored in Redis at all."""
    keep_ratio: float = 1.0
    """Of how many traces the spans are stored, between 0 and 1."""
    sampler: Sampler = field(default=never)

    def new_trace(self) -> RunTrace | None:
        """The trace of a run that is created in the current context: of a request, of a node of another run, or of a
        duty. A run that continues a chain gets the trace of its chain instead, from the script that makes it a part of
        the chain. None if nothing would use it."""
        span = executing_span()
        parent = CURRENT_TRACE.get() if span is None else span.context
        exports = self.sampler is not never
        if parent is None:
            if not self.keep and not exports:
                return None
            trace_id, parent_id, state = new_trace_id(), "", ""
        else:
            trace_id, parent_id, state = parent.trace_id, parent.span_id, parent.state
        context = TraceContext(trace_id, new_span_id(), exports and self.sampler(trace_id, parent), state)
        return RunTrace(context, parent_id, self.keeps(trace_id))

    def with_sampler(self, sampler: Sampler) -> TraceDecision:
        """The same, for a process that exports spans."""
        return replace(self, sampler=sampler)

    def keeps(self, trace_id: str) -> bool:
        """The last 56 bits of an id are random (W3C Trace Context, level 2), and the same in each process: so a trace
        is kept as a whole."""
        return self.keep and (self.keep_ratio >= 1 or int(trace_id[-14:], 16) < self.keep_ratio * _IDS)


UNTRACED: Final = TraceDecision()
"""No run is traced."""
