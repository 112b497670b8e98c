"""The stream of a thread: the events of all its runs, one after the other, until the client disconnects
(docs/protocol.md)."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from functools import partial
from typing import Final

from starlette.requests import Request
from starlette.types import ASGIApp

from slipway.api.auth.access_check import requires, user_of
from slipway.api.auth.authorization import authorize_read, read_value
from slipway.api.endpoints import Endpoint, list_param
from slipway.api.request_parsing import path_id, query_names
from slipway.api.shared_objects import services_of
from slipway.api.streams.access_watch import ThreadAuthorizer, error_event, recheck, watch_thread
from slipway.api.streams.event_streams import (
    Blocks,
    StreamOptions,
    shutdown_event,
    slow_client_event,
    stream_response,
)
from slipway.api.streams.response_lifetime import ResponseLifetime
from slipway.api.streams.stream_requests import END_PARAM, SINCE_PARAM, event_id_parameter, wants_end
from slipway.errors import InvalidRequest, NotFound
from slipway.threads.thread_events import ThreadEventKind
from slipway.threads.thread_position import ThreadPosition, position_from_id

MODES: Final[dict[str, frozenset[ThreadEventKind]]] = {
    "run_modes": frozenset({"begin", "event", "end", "done"}),
    "lifecycle": frozenset({"begin", "done"}),
    "state_update": frozenset({"state"}),
}
"""The kinds of events of each mode."""

_CHECKED_KINDS: Final[frozenset[ThreadEventKind]] = frozenset({"begin", "state"})
"""Before an event of these kinds, which starts a run or contains a state, the client is authorized again."""


async def stream(request: Request) -> ASGIApp:
    """Sends the events of all runs after `Last-Event-ID`, or only new events. The `end` event of each run is sent only
    for `end=true`."""
    services, thread_id = services_of(request), path_id(request, "thread_id")
    kinds, after = _requested_kinds(request), _requested_position(request)
    await authorize_read(request, thread_id)
    if await services.threads.status(thread_id) is None:
        raise NotFound("thread", thread_id)

    async def blocks() -> AsyncGenerator[Blocks, None]:
        async with aclosing(services.thread_events.follow(thread_id, after, user_of(request))) as batches:
            async for batch in batches:
                needs_check = any(event.kind in _CHECKED_KINDS for event in batch)
                yield Blocks([event.block for event in batch if event.kind in kinds], needs_check)
        yield Blocks([error_event(NotFound("thread", thread_id))])

    return stream_response(
        request,
        blocks(),
        StreamOptions(
            slow_client_event=slow_client_event(thread_id),
            shutdown_event=shutdown_event(thread_id),
            check=partial(recheck, ThreadAuthorizer(request, read_value(thread_id)).check),
            lifetime=ResponseLifetime(watch=watch_thread(request, thread_id)),
        ),
    )


def _requested_kinds(request: Request) -> frozenset[ThreadEventKind]:
    modes = query_names(request, "stream_mode") + query_names(request, "stream_modes") or ["run_modes"]
    if unknown := set(modes) - MODES.keys():
        raise InvalidRequest("stream_mode", f"{sorted(unknown)[0]!r} is not one of {', '.join(MODES)}")
    kinds: frozenset[ThreadEventKind] = frozenset().union(*(MODES[mode] for mode in modes))
    return kinds if wants_end(request) else kinds - {"end"}


def _requested_position(request: Request) -> ThreadPosition | None:
    parameter = event_id_parameter(request)
    if parameter is None:
        return None
    name, event_id = parameter
    position = position_from_id(event_id)
    if position is None:
        raise InvalidRequest(name, f"{event_id!r} is neither an id of this stream nor -")
    return position


ENDPOINTS: Final = (
    Endpoint(
        "GET",
        "/threads/{thread_id}/stream",
        stream,
        "Follow all runs of a thread",
        requires("threads:read"),
        query=(
            list_param("stream_mode", ", ".join(MODES)),
            list_param("stream_modes", "The same as stream_mode"),
            SINCE_PARAM,
            END_PARAM,
        ),
        media_type="text/event-stream",
    ),
)
