"""The trace of a run, as its record stores it: decided when the run is created."""

from __future__ import annotations

from dataclasses import dataclass

from slipway.telemetry.trace_context import TraceContext, parse_traceparent

_KEPT = "k"


@dataclass(frozen=True, slots=True)
class RunTrace:
    """The stored form is one text: four members, separated by commas. `inherit_trace` in `redis/lua/lib/traces.lua`
    reads and writes it."""

    context: TraceContext
    """The root span of the run, in the trace of its chain. `sampled`: its spans are exported."""
    parent_id: str = ""
    """The span whose part it is: of the request that created the run, or the root span of the run that it continues.
    Empty: it begins the trace."""
    kept: bool = False
    """Whether its spans are stored in Redis."""
    link: TraceContext | None = None
    """The request that answered or retried the run before, if that request belongs to another trace."""

    @property
    def recorded(self) -> bool:
        """Whether anybody wants the spans of the run."""
        return self.kept or self.context.sampled

    def stored(self) -> str:
        """The text of the field `trace`."""
        link = "" if self.link is None else self.link.traceparent
        return f"{self.context.traceparent},{_KEPT if self.kept else ''},{self.parent_id},{link}"


def run_trace_from(stored: bytes) -> RunTrace | None:
    """The trace in a stored field. None for a text that is none: a trace is never a reason to fail."""
    context_text, _, rest = stored.decode(errors="replace").partition(",")
    kept, _, rest = rest.partition(",")
    parent_id, _, link = rest.partition(",")
    context = parse_traceparent(context_text)
    return None if context is None else RunTrace(context, parent_id, kept == _KEPT, parse_traceparent(link))
