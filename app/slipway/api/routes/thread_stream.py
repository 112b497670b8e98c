"""The stream of a thread: all its runs, one after the other, until the client leaves (protocol 3.9)."""

from __future__ import annotations

from contextlib import aclosing
from typing import Final

from starlette.requests import Request
from starlette.types import ASGIApp

from slipway.api.auth.access_check import requires, user_of
from slipway.api.auth.authorization import authorize_read, read_value
from slipway.api.endpoints import Endpoint, list_param
from slipway.api.lifespan_state import services_of
from slipway.api.request_parsing import path_id, query_names
from slipway.api.streams.access_watch import ThreadAccess, error_event, judge, watch_thread
from slipway.api.streams.event_streams import STALL_TIMEOUT_S, stream_response, told
from slipway.api.streams.long_response import SendBuffer
from slipway.api.streams.stream_requests import ENDING, SINCE, given_event_id, wants_end
from slipway.errors import InvalidRequest, NotFound
from slipway.sse_frames import RETRY
from slipway.threads.thread_log import Kind, Position, position_of

MODES: Final[dict[str, frozenset[Kind]]] = {
    "run_modes": frozenset({"begin", "event", "end", "done"}),
    "lifecycle": frozenset({"begin", "done"}),
    "state_update": frozenset({"state"}),
}
"""What each mode lets through."""

_BEGINNINGS: Final[frozenset[Kind]] = frozenset({"begin", "state"})
"""What comes first of a run, or is something of its own: the auth file is asked before it."""


async def stream(request: Request) -> ASGIApp:
    """The events of all runs: after `Last-Event-ID`, or only new ones. The `end` of each run only where it is asked
    for."""
    services, thread_id = services_of(request), path_id(request, "thread_id")
    wanted, after = _wanted(request), _position(request)
    await authorize_read(request, thread_id)
    if await services.threads.status(thread_id) is None:
        raise NotFound("thread", thread_id)

    access = ThreadAccess(request, read_value(thread_id))

    async def feed(buffer: SendBuffer) -> None:
        opening = RETRY
        async with aclosing(services.thread_log.follow(thread_id, after, user_of(request))) as batches:
            async for batch in batches:
                if any(event.kind in _BEGINNINGS for event in batch) and not await judge(access.check, buffer):
                    return
                blocks = [event.block for event in batch if event.kind in wanted]
                if blocks and opening:
                    blocks[0], opening = opening + blocks[0], b""
                buffer.put(blocks, len(blocks))
                if not await buffer.room(STALL_TIMEOUT_S):
                    buffer.drop(told("slow_client", thread_id, "too far behind; resume from the last id"))
                    return
        buffer.finish(error_event(NotFound("thread", thread_id)))

    parting = told("reconnect", thread_id, "this server stops; come back with the last id")
    return stream_response(request, feed, parting=parting, watch=watch_thread(request, thread_id))


def _wanted(request: Request) -> frozenset[Kind]:
    modes = query_names(request, "stream_mode") + query_names(request, "stream_modes") or ["run_modes"]
    if unknown := set(modes) - MODES.keys():
        raise InvalidRequest("stream_mode", f"{sorted(unknown)[0]!r} is not one of {', '.join(MODES)}")
    wanted: frozenset[Kind] = frozenset().union(*(MODES[mode] for mode in modes))
    return wanted if wants_end(request) else wanted - {"end"}


def _position(request: Request) -> Position | None:
    given = given_event_id(request)
    if given is None:
        return None
    name, event_id = given
    found = position_of(event_id)
    if found is None:
        raise InvalidRequest(name, f"{event_id!r} is neither an id of this stream nor -")
    return found


ENDPOINTS: Final = (
    Endpoint(
        "GET",
        "/threads/{thread_id}/stream",
        stream,
        "Follow all runs of a thread",
        requires("threads:read"),
        query=(list_param("stream_mode", ", ".join(MODES)), list_param("stream_modes", "The same"), SINCE, ENDING),
        media_type="text/event-stream",
    ),
)
