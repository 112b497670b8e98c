"""The event stream of one run: its event log, sent as the bytes that a worker wrote.

The `end` event of the log is sent only to clients that request it (`stream_requests`).
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from typing import Final

from starlette.requests import Request
from starlette.types import ASGIApp

from slipway.api.responses import empty_response
from slipway.api.shared_objects import services_of
from slipway.api.streams.access_watch import watch_run
from slipway.api.streams.event_streams import (
    STREAM_HEADERS,
    Blocks,
    EventStream,
    StreamOptions,
    server_event,
    shutdown_event,
    slow_client_event,
    stream_response,
)
from slipway.api.streams.response_lifetime import OnDisconnect, ResponseLifetime
from slipway.api.streams.stream_requests import StreamRequest
from slipway.errors import NotFound
from slipway.runs.events import NEW_ONLY, event_position
from slipway.runs.record import Run
from slipway.serialization.json_encoding import dumps
from slipway.services import Services
from slipway.sse_frames import encode_block

_IN_EVERY_STREAM: Final = frozenset({"error", "end", "gap", "feedback"})
_EXPIRED_LOG_END_ID: Final = "99999999999999-0"
"""Id of the `end` event that is sent when the log has expired. No event of a log has it."""

_Ids = tuple[str, str]
"""The id of the thread and the id of the run."""

EventPredicate = Callable[[str], bool]
"""Whether the client receives the events of this name."""


def accept_modes(modes: Sequence[str]) -> EventPredicate | None:
    """Returns a predicate that accepts the events of these stream modes and the events that every stream contains.
    Without modes returns None: all events are accepted. `metadata` is a mode too, as on the reference server."""
    if not modes:
        return None
    names = frozenset(modes) | _IN_EVERY_STREAM
    messages = "messages" in names or "messages-tuple" in names

    def accepts(name: str) -> bool:
        return name in names or name.partition("|")[0] in names or (messages and name.startswith("messages"))

    return accepts


def stream_run(
    request: Request,
    run: Run,
    after: str,
    *,
    sends_end: bool,
    accepts: EventPredicate | None = None,
    run_path: str | None = None,
    lifetime: ResponseLifetime,
) -> EventStream:
    """Sends the events of `run` after `after`, then new events until its end. With `sends_end` also the `end` event.
    `run_path` is the path of the run for the headers, if it is not below its thread."""
    return stream_response(
        request,
        _run_blocks(services_of(request), (run.thread_id, run.run_id), after, accepts, sends_end),
        StreamOptions(
            headers=run_headers(run_path or f"/threads/{run.thread_id}/runs/{run.run_id}"),
            slow_client_event=slow_client_event(run.run_id),
            shutdown_event=shutdown_event(run.run_id),
            must_be_complete=True,
            lifetime=lifetime,
        ),
    )


async def stream_existing_run(
    request: Request,
    run: Run,
    stream_request: StreamRequest,
    *,
    on_disconnect: OnDisconnect | None = None,
    run_path: str | None = None,
) -> ASGIApp:
    """The events of a run that exists. A client that requests the `end` event receives 204 if the run has no
    further event for it, because the `EventSource` of a browser reconnects until it receives 204."""
    after = stream_request.after or NEW_ONLY
    if stream_request.sends_end and await _has_no_event_left(services_of(request), run, after):
        return empty_response()
    return stream_run(
        request,
        run,
        after,
        sends_end=stream_request.sends_end,
        accepts=accept_modes(stream_request.modes),
        run_path=run_path,
        lifetime=ResponseLifetime(on_disconnect=on_disconnect, watch=watch_run(request, run)),
    )


def run_headers(run_path: str) -> dict[str, str]:
    """The headers that tell a client where to reconnect to the stream and where the run is."""
    return {**STREAM_HEADERS, "location": f"{run_path}/stream", "content-location": run_path}


async def _has_no_event_left(services: Services, run: Run, after: str) -> bool:
    newest = await services.events.newest(run.run_id)
    if newest is not None:
        return newest.is_end and (after == NEW_ONLY or event_position(after) >= newest.position)
    ended = run.status not in ("pending", "running")
    return ended and (after == NEW_ONLY or event_position(after) >= event_position(_EXPIRED_LOG_END_ID))


async def _run_blocks(
    services: Services, ids: _Ids, after: str, accepts: EventPredicate | None, sends_end: bool
) -> AsyncGenerator[Blocks, None]:
    """It has the ids and not the run: it lives as long as the stream, and a run takes 2 KB or much more."""
    _, run_id = ids
    ended = gap_sent = False
    async with aclosing(services.events.follow(run_id, after)) as batches:
        async for batch in batches:
            ended, gap_sent = batch[-1].is_end, gap_sent or batch[0].name == "gap"
            events = batch if sends_end or not ended else batch[:-1]
            yield Blocks([event.block for event in events if accepts is None or accepts(event.name)], are_last=ended)
    if not ended and after != NEW_ONLY:
        yield Blocks(await _expired_log_blocks(services, ids, sends_gap=not gap_sent, sends_end=sends_end))
    elif not ended and sends_end:
        yield Blocks(await _end_before_the_stream(services, run_id))


async def _end_before_the_stream(services: Services, run_id: str) -> list[bytes]:
    """The `end` event of a run that ended after its stream was requested, but before the stream followed new events."""
    newest = await services.events.newest(run_id)
    return [newest.block] if newest is not None and newest.is_end else []


async def _expired_log_blocks(services: Services, ids: _Ids, *, sends_gap: bool, sends_end: bool) -> list[bytes]:
    """The last blocks of a stream whose log had no `end` event. If the log has expired: with `sends_gap` a `gap` event,
    and with `sends_end` an `end` event with the status of the run. Nothing if the log still exists, because the client
    has received its `end` before, and nothing if the run was deleted or has not ended."""
    thread_id, run_id = ids
    if await services.events.exists(run_id):
        return []
    try:
        stored = await services.runs.get(thread_id, run_id)
    except NotFound:
        return []
    if stored.status in ("pending", "running"):
        return []
    blocks: list[bytes] = []
    if sends_gap:
        blocks.append(server_event("gap", run_id, "The events of this run have expired."))
    if sends_end:
        end = dumps({"run_id": run_id, "status": stored.status})
        blocks.append(encode_block("end", end, _EXPIRED_LOG_END_ID))
    return blocks
