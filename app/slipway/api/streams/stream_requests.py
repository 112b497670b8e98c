"""The parameters of a request for an event stream: the event to continue after, the stream modes, and whether the `end`
event is sent.

The `end` event is sent only for `end=true`. The SDKs do not need it: they detect a proper end of the stream, and code
that uses the last event as the result would use `end` as the result. The `EventSource` of a browser does not detect a
proper end of the stream, so pages send `end=true`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from starlette.requests import Request

from slipway.api.endpoints import Query, bool_param
from slipway.api.request_parsing import query_flag, query_names
from slipway.runs.events import START_ID

_EVENT_ID: Final = re.compile(r"\d{1,20}(-\d{1,20})?", re.ASCII)
_START_IDS: Final = frozenset({"-1", "0", "-"})

END_PARAM: Final = bool_param(
    "end", "Send the closing `end` event. A client that reconnects after the last event receives 204"
)
SINCE_PARAM: Final = Query(
    "since_event_id",
    {"type": "string"},
    "The same as the header `Last-Event-ID`, for clients that cannot send headers. The header takes precedence",
)


@dataclass(frozen=True, slots=True)
class StreamRequest:
    """Which events of a run a client requests: those after the event id `after`, or only new events if it is None, of
    these stream modes, or all if there are none."""

    after: str | None
    modes: Sequence[str]
    sends_end: bool

    @classmethod
    def from_request(cls, request: Request) -> StreamRequest:
        """Raises `InvalidRequest`."""
        return cls(position(request), query_names(request, "stream_mode"), wants_end(request))


def wants_end(request: Request) -> bool:
    """Whether the `end` event is sent."""
    return query_flag(request, END_PARAM.name)


def event_id_parameter(request: Request) -> tuple[str, str] | None:
    """The name of the header or parameter that has an event id, and the id."""
    for name, value in (
        ("Last-Event-ID", request.headers.get("last-event-id")),
        (SINCE_PARAM.name, request.query_params.get(SINCE_PARAM.name)),
    ):
        if value is not None and value.strip():
            return name, value.strip()
    return None


def position(request: Request) -> str | None:
    """The event id after which the stream of a run continues. None without an id, and for an id that no event of any
    run can have: some clients send an id of another server."""
    parameter = event_id_parameter(request)
    if parameter is None:
        return None
    _, event_id = parameter
    if event_id in _START_IDS:
        return START_ID
    return event_id if _EVENT_ID.fullmatch(event_id) else None
