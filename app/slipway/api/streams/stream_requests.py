"""What a request for an event stream says beside its run or thread: after which event the stream goes on, which modes
it shows, and whether its end is an event.

The end is sent only where `end=true` asks for it. The SDKs see that a stream closes properly and ask for the run's
status; code that takes the last event for the result would take `end` for it. A browser's `EventSource` sees neither
and asks with `end=true`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from starlette.requests import Request

from slipway.api.endpoints import Query, bool_param
from slipway.api.request_parsing import query_flag, query_names
from slipway.runs.event_log import START_ID

_EVENT_ID: Final = re.compile(r"\d{1,20}(-\d{1,20})?", re.ASCII)
_START_WORDS: Final = frozenset({"-1", "0", "-"})

ENDING: Final = bool_param("end", "Send the closing `end` event; who then comes back when nothing is left gets 204")
SINCE: Final = Query(
    "since_event_id",
    {"type": "string"},
    "The same as the header `Last-Event-ID`, for clients that cannot send headers; the header wins",
)


@dataclass(frozen=True, slots=True)
class StreamRequest:
    """How a run's stream is joined. `after` is an event id, None to receive only new events; no modes are all modes."""

    after: str | None
    modes: Sequence[str]
    ends: bool

    @classmethod
    def of(cls, request: Request) -> StreamRequest:
        """Raises `InvalidRequest`."""
        return cls(position(request), query_names(request, "stream_mode"), wants_end(request))


def wants_end(request: Request) -> bool:
    """Whether the `end` event is sent."""
    return query_flag(request, ENDING.name)


def given_event_id(request: Request) -> tuple[str, str] | None:
    """The id after which the client wants to go on, behind the name of the header or parameter that has it."""
    for name, given in (
        ("Last-Event-ID", request.headers.get("last-event-id")),
        (SINCE.name, request.query_params.get(SINCE.name)),
    ):
        if given is not None and given.strip():
            return name, given.strip()
    return None


def position(request: Request) -> str | None:
    """The event id after which a run's stream goes on. None when the client gave none, or one that no event of any run
    ever had: some clients send an id of another server."""
    found = given_event_id(request)
    if found is None:
        return None
    _, event_id = found
    if event_id in _START_WORDS:
        return START_ID
    return event_id if _EVENT_ID.fullmatch(event_id) else None
