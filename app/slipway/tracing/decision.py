"""Which runs are traced. Decided once for each chain of runs, when its first run is created."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Final

from slipway.telemetry.current_trace import CURRENT_TRACE
from slipway.telemetry.trace_context import TraceContext, new_span_id, new_trace_id
from slipway.telemetry.trace_share import bound_of
from slipway.tracing.current_call import executing_span
from slipway.tracing.run_trace import stored_trace

Sampler = Callable[[str, TraceContext | None], bool]
"""Whether a trace is exported: its id, and the context of the caller if there is one."""

_DIGITS: Final = 14
"""The last 56 bits of an id are random (W3C Trace Context, level 2)."""


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
    _kept_below: str = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_kept_below", bound_of(self.keep_ratio, _DIGITS))

    def new_trace(self) -> str:
        """The stored trace (`RunTrace.stored`) of a run that is created in the current context: of a request, of a node
        of another run, or of a duty. A run that continues a chain gets the trace of its chain instead, from the script
        that makes it a part of the chain. Empty if nothing would use it."""
        span = executing_span()
        parent = CURRENT_TRACE.get()() if span is None else span.context
        exports = self.sampler is not never
        if parent is None:
            if not self.keep and not exports:
                return ""
            trace_id, parent_id, state = new_trace_id(), "", ""
        else:
            trace_id, parent_id, state = parent.trace_id, parent.span_id, parent.state
        sampled = exports and self.sampler(trace_id, parent)
        return stored_trace(trace_id, new_span_id(), sampled, state, kept=self.keeps(trace_id), parent_id=parent_id)

    def with_sampler(self, sampler: Sampler) -> TraceDecision:
        """The same, for a process that exports spans."""
        return replace(self, sampler=sampler)

    def keeps(self, trace_id: str) -> bool:
        """Whether the spans of the trace are stored. All processes decide the same, so a trace is kept as a whole."""
        return self.keep and trace_id[-_DIGITS:] < self._kept_below


UNTRACED: Final = TraceDecision()
"""No run is traced."""
