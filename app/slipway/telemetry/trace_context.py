"""Trace contexts: which span of which trace a request or a run belongs to, as W3C Trace Context defines them."""

from __future__ import annotations

import re
from typing import Final, NamedTuple

from slipway.telemetry.id_source import IDS

TRACEPARENT: Final = "traceparent"
TRACESTATE: Final = "tracestate"
"""The headers of requests."""
_random_bits: Final = IDS.getrandbits
_TRACEPARENT: Final = re.compile(r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?", re.ASCII)
_SAMPLED: Final = 1
_LATER_VERSIONS: Final = "ff"
"""Not a version, so a header with it is not valid."""
_NO_TRACE: Final = "0" * 32
_NO_SPAN: Final = "0" * 16
_STATE_MEMBER: Final = re.compile(r"[a-z0-9][a-z0-9_*/@-]{0,255}=[ -+\--<>-~]{0,255}[!-+\--<>-~]", re.ASCII)
_STATE_MEMBERS: Final = 32
STATE_CHARS: Final = 512
"""The most characters of a `tracestate` that are passed on."""
_LARGE_MEMBER_CHARS: Final = 128
"""Longer members are left out first, if there is not room for all."""


class TraceContext(NamedTuple):
    """One span of a trace, for those who continue the trace."""

    trace_id: str
    """32 hexadecimal digits in lower case, not all zero."""
    span_id: str
    """16 hexadecimal digits in lower case, not all zero."""
    sampled: bool
    """Whether the trace is exported."""
    state: str = ""
    """What other systems say about the trace, for those who continue it: the header `tracestate`."""

    @property
    def traceparent(self) -> str:
        """The value of the header `traceparent`, version 00."""
        return traceparent_of(self.trace_id, self.span_id, self.sampled)

    def headers(self) -> dict[str, str]:
        """The headers of a request that continues the trace."""
        headers = {TRACEPARENT: self.traceparent}
        if self.state:
            headers[TRACESTATE] = self.state
        return headers


def traceparent_of(trace_id: str, span_id: str, sampled: bool) -> str:
    """The value of the header `traceparent`, version 00, from the members of a `TraceContext` that nobody has to make
    for it."""
    return f"00-{trace_id}-{span_id}-0{'1' if sampled else '0'}"


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


def parse_tracestate(value: str) -> str:
    """The header `tracestate` as it is passed on, at most `STATE_CHARS`. Empty if it is not valid.

    https://www.w3.org/TR/trace-context-1/#tracestate-header
    """
    members = [member for part in value.split(",") if (member := part.strip(" \t"))]
    keys = {member.partition("=")[0] for member in members}
    if not len(keys) == len(members) <= _STATE_MEMBERS or not all(map(_STATE_MEMBER.fullmatch, members)):
        return ""
    if len(",".join(members)) > STATE_CHARS:
        members = [member for member in members if len(member) <= _LARGE_MEMBER_CHARS]
    while len(state := ",".join(members)) > STATE_CHARS:
        members.pop()
    return state


def new_trace_id() -> str:
    """32 random hexadecimal digits, not all zero."""
    return (_random_bits(128) or 1).to_bytes(16, "big").hex()


def new_span_id() -> str:
    """16 random hexadecimal digits, not all zero."""
    return (_random_bits(64) or 1).to_bytes(8, "big").hex()
