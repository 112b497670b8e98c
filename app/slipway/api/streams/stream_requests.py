"""The parameters of a request for an event stream: the event to continue after, the stream modes, and whether the `end`
event is sent.

The `end` event is sent only for `end=true`. The SDKs recognise a proper close of the stream and then read the status of
the run; code that uses the last event as the result would read `end` as the result. A browser's `EventSource` does not
recognise a proper close, so such clients send `end=true`.
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

ENDING: Final = bool_param(
    "end", "Send the closing `end` event; a client that reconnects when nothing is left gets 204"
)
SINCE: Final = Query(
    "since_event_id",
    {"type": "string"},
    "The same as the header `Last-Event-ID`, for clients that cannot send headers; the header wins",
)


@dataclass(frozen=True, slots=True)
class StreamRequest:
    """How a client joins the stream of a run. `after` is an event id, or None for new events only. Without modes, all
    events are sent."""

    after: str | None
    modes: Sequence[str]
    sends_end: bool

    @classmethod
    def from_request(cls, request: Request) -> StreamRequest:
        """Raises `InvalidRequest`."""
        return cls(position(request), query_names(request, "stream_mode"), wants_end(request))


def wants_end(request: Request) -> bool:
    """Whether the `end` event is sent."""
    return query_flag(request, ENDING.name)


def given_event_id(request: Request) -> tuple[str, str] | None:
    """The name of the header or parameter that has an event id, and the id."""
    for name, value in (
        ("Last-Event-ID", request.headers.get("last-event-id")),
        (SINCE.name, request.query_params.get(SINCE.name)),
    ):
        if value is not None and value.strip():
            return name, value.strip()
    return None


def position(request: Request) -> str | None:
    """The event id after which the stream of a run continues. None without an id, and for an id that no event of any
    run can have: some clients send an id of another server."""
    found = given_event_id(request)
    if found is None:
        return None
    _, event_id = found
    if event_id in _START_IDS:
        return START_ID
    return event_id if _EVENT_ID.fullmatch(event_id) else None
