"""The trace of a run, as its record stores it: decided when the run is created."""

from __future__ import annotations

import re
from typing import Final, NamedTuple

from slipway.telemetry.trace_context import TraceContext, parse_traceparent, parse_tracestate, traceparent_of

_KEPT: Final = "k"
_USUAL: Final = re.compile(r"00-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-0([01]),(k?),([0-9a-f]*),", re.ASCII)
"""A stored trace without a link and without a state."""
_WANTED: Final = frozenset({b"0,k", b"1,k", b"1,,"})
"""The flag that says whether the trace is exported, and what follows it."""


class RunTrace(NamedTuple):
    """The stored form is one text: four members, separated by commas, and a fifth if other systems say something about
    the trace. `inherited_trace` in `redis/lua/lib/traces.lua` reads and writes it."""

    context: TraceContext
    """The root span of the run, in the trace of its chain. `sampled`: its spans are exported."""
    parent_id: str = ""
    """The span whose part it is: of the request that created the run, or the root span of the run that it continues.
    Empty: it begins the trace."""
    kept: bool = False
    """Whether its spans are stored in Redis."""
    link: TraceContext | None = None
    """The request that answered or retried the run before, if that request belongs to another trace."""

    def stored(self) -> str:
        """The text of the field `trace`."""
        trace_id, span_id, sampled, state = self.context
        link = "" if self.link is None else self.link.traceparent
        return stored_trace(trace_id, span_id, sampled, state, kept=self.kept, parent_id=self.parent_id, link=link)


def stored_trace(
    trace_id: str, span_id: str, sampled: bool, state: str, *, kept: bool, parent_id: str, link: str = ""
) -> str:
    """The text of the field `trace`, from the members of a `RunTrace` that nobody has to make for it."""
    text = f"{traceparent_of(trace_id, span_id, sampled)},{_KEPT if kept else ''},{parent_id},{link}"
    return f"{text},{state}" if state else text


def run_trace_from(stored: bytes) -> RunTrace | None:
    """The trace in a stored field. None for a text that is none: a trace is never a reason to fail."""
    text = stored.decode(errors="replace")
    usual = _USUAL.fullmatch(text)
    if usual is None:
        return _parsed(text)
    trace_id, span_id, sampled, kept, parent_id = usual.groups()
    return RunTrace(TraceContext(trace_id, span_id, sampled == "1"), parent_id, kept == _KEPT)


def root_span_in(stored: bytes) -> TraceContext | None:
    """The root span of the run with this stored field. None for a text that is no trace."""
    trace = run_trace_from(stored)
    return None if trace is None else trace.context


def trace_id_in(stored: bytes) -> str:
    """The id of the trace in a stored field, which most code needs of it; empty for a text that is none. It takes a
    fraction of the time of `run_trace_from`."""
    return stored[3:35].decode(errors="replace") if stored[35:36] == b"-" else ""


def is_exported(stored: bytes) -> bool:
    """Whether the spans of a run with this stored field are exported."""
    return stored[54:55] == b"1"


def is_recorded(stored: bytes) -> bool:
    """Whether anybody wants its spans: they are exported, or stored in Redis."""
    return stored[54:57] in _WANTED


def _parsed(text: str) -> RunTrace | None:
    context_text, _, rest = text.partition(",")
    kept, _, rest = rest.partition(",")
    parent_id, _, rest = rest.partition(",")
    link, _, state = rest.partition(",")
    context = parse_traceparent(context_text)
    if context is None:
        return None
    context = context._replace(state=parse_tracestate(state))
    return RunTrace(context, parent_id, kept == _KEPT, parse_traceparent(link))
