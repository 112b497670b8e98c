"""Trace contexts: which span of which trace a request or a run belongs to, as W3C Trace Context defines them."""

from __future__ import annotations

import re
from typing import Final, NamedTuple

from slipway.telemetry.id_source import IDS

_TRACEPARENT: Final = re.compile(r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?", re.ASCII)
_SAMPLED: Final = 1
_LATER_VERSIONS: Final = "ff"
"""Not a version, so a header with it is not valid."""
_NO_TRACE: Final = "0" * 32
_NO_SPAN: Final = "0" * 16


class TraceContext(NamedTuple):
    """One span of a trace, for those who continue the trace."""

    trace_id: str
    """32 hexadecimal digits in lower case, not all zero."""
    span_id: str
    """16 hexadecimal digits in lower case, not all zero."""
    sampled: bool
    """Whether the trace is exported."""

    @property
    def traceparent(self) -> str:
        """The value of the header `traceparent`, version 00."""
        return f"00-{self.trace_id}-{self.span_id}-0{'1' if self.sampled else '0'}"


def parse_traceparent(value: str) -> TraceContext | None:
    """The context in a header `traceparent`. None if it is not valid: then the standard asks for a new trace, and not
    for an error. A later version than 00 may have more members, which are ignored.

    https://www.w3.org/TR/trace-context-1/#traceparent-header
    """
    match = _TRACEPARENT.fullmatch(value)
    if match is None:
        return None
    version, trace_id, span_id, flags, more = match.groups()
    if version == _LATER_VERSIONS or (version == "00" and more) or trace_id == _NO_TRACE or span_id == _NO_SPAN:
        return None
    return TraceContext(trace_id, span_id, bool(int(flags, 16) & _SAMPLED))


def new_trace_id() -> str:
    """32 random hexadecimal digits, not all zero."""
    return _new_id(16, _NO_TRACE)


def new_span_id() -> str:
    """16 random hexadecimal digits, not all zero."""
    return _new_id(8, _NO_SPAN)


def _new_id(size_bytes: int, invalid: str) -> str:
    while (made := IDS.randbytes(size_bytes).hex()) == invalid:
        pass
    return made
