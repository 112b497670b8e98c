"""Event streams: a run's log as server-sent events.

Frames come from the log as bytes and go out as bytes, all that waits in one write; what is added is the id line, the
`retry:` of the first block, and a comment every few seconds. A comment has no blank line after it: older clients
take a blank line for an event. A client that stops reading is cut with `slow_client` and may resume from its last id.
A stream that ends before its run does is broken off: older clients take a stream that closes properly for the whole.
The `end` event of the log is sent only to readers that ask for it (`stream_requests`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack, aclosing
from typing import Final

from starlette.requests import Request
from starlette.types import ASGIApp

from slipway.api.lifespan_state import open_responses_of, services_of
from slipway.api.responses import empty_response
from slipway.api.streams.access_watch import watch_run
from slipway.api.streams.long_response import Feed, LongResponse, OnDisconnect, SendBuffer, Watch
from slipway.api.streams.stream_requests import StreamRequest
from slipway.errors import NotFound
from slipway.runs.event_log import NEW_ONLY, Event, place_of
from slipway.runs.record import Run
from slipway.serialization.json_encoding import dumps
from slipway.services import Services
from slipway.sse_frames import HEARTBEAT, RETRY, encode_block

STREAM_HEADERS: Final = {
    "content-type": "text/event-stream; charset=utf-8",
    "cache-control": "no-store",
    "x-accel-buffering": "no",
}
"""Nothing between here and the client may keep or gather what is sent."""
STALL_TIMEOUT_S: Final = 5.0
"""How long a client with a full buffer may take nothing."""
_ALWAYS: Final = frozenset({"error", "end", "gap", "feedback"})
_BEYOND_ID: Final = "99999999999999-0"
"""Id of an `end` that is sent for a log that is not kept any more; no event of a log has it."""

Wanted = Callable[[str], bool]
"""Whether events of a name go to this client."""


def only(modes: Sequence[str]) -> Wanted | None:
    """Events of these stream modes, and those that belong to every stream; None lets all through. `metadata` is a mode
    like others here, as on the reference server."""
    if not modes:
        return None
    names = frozenset(modes) | _ALWAYS
    messages = "messages" in names or "messages-tuple" in names

    def wanted(name: str) -> bool:
        return name in names or name.partition("|")[0] in names or (messages and name.startswith("messages"))

    return wanted


def stream_run(
    request: Request,
    run: Run,
    after: str,
    *,
    ends: bool,
    wanted: Wanted | None = None,
    on_disconnect: OnDisconnect | None = None,
    held: ExitStack | None = None,
    place: str | None = None,
    watch: Watch | None = None,
) -> LongResponse:
    """The events of `run` that follow `after`, then live until its end; with `ends` the `end` event too. `place` is the
    run's path, when that is not below its thread."""
    services = services_of(request)

    async def feed(buffer: SendBuffer) -> None:
        await _feed(services, run, after, wanted, ends, buffer)
        buffer.finish(whole=True)

    return stream_response(
        request,
        feed,
        headers=stream_headers(place or f"/threads/{run.thread_id}/runs/{run.run_id}"),
        parting=told("reconnect", run.run_id, "this server stops; come back with the last id"),
        all_or_nothing=True,
        on_disconnect=on_disconnect,
        held=held,
        watch=watch,
    )


async def stream_existing_run(
    request: Request,
    run: Run,
    asked: StreamRequest,
    *,
    on_disconnect: OnDisconnect | None = None,
    place: str | None = None,
) -> ASGIApp:
    """The events of a run that exists. A reader that wants the end as an event gets 204 when nothing is left for it:
    a browser's `EventSource` comes back until then."""
    after = asked.after or NEW_ONLY
    if asked.ends and await _nothing_left(services_of(request), run, after):
        return empty_response()
    return stream_run(
        request,
        run,
        after,
        ends=asked.ends,
        wanted=only(asked.modes),
        on_disconnect=on_disconnect,
        place=place,
        watch=watch_run(request, run),
    )


async def _nothing_left(services: Services, run: Run, after: str) -> bool:
    newest = await services.events.newest(run.run_id)
    if newest is not None:
        return newest.last and (after == NEW_ONLY or place_of(after) >= newest.place)
    over = run.status not in ("pending", "running")
    return over and (after == NEW_ONLY or place_of(after) >= place_of(_BEYOND_ID))


def stream_response(
    request: Request,
    feed: Feed,
    *,
    headers: dict[str, str] = STREAM_HEADERS,
    parting: bytes = b"",
    all_or_nothing: bool = False,
    on_disconnect: OnDisconnect | None = None,
    held: ExitStack | None = None,
    watch: Watch | None = None,
) -> LongResponse:
    """What `feed` puts, as server-sent events with a heartbeat; the rest is as `LongResponse` has it."""
    settings = services_of(request).settings
    return LongResponse(
        feed,
        headers=headers,
        beat=HEARTBEAT,
        ping_s=settings.sse_ping_s,
        most=settings.sse_buffer_events,
        answers=open_responses_of(request),
        parting=parting,
        all_or_nothing=all_or_nothing,
        on_disconnect=on_disconnect,
        held=held,
        watch=watch,
    )


def stream_headers(place: str) -> dict[str, str]:
    """Of a run's stream; `place` is the run's path."""
    return {**STREAM_HEADERS, "location": f"{place}/stream", "content-location": place}


async def _feed(
    services: Services, run: Run, after: str, wanted: Wanted | None, ends: bool, buffer: SendBuffer
) -> None:
    opening, ended = RETRY, False
    async with aclosing(services.events.follow(run.run_id, after)) as batches:
        async for batch in batches:
            ended = batch[-1].last
            blocks, count = _blocks(batch if ends or not ended else batch[:-1], wanted)
            if blocks and opening:
                blocks[0], opening = opening + blocks[0], b""
            buffer.put(blocks, count)
            if not await buffer.room(STALL_TIMEOUT_S):
                return buffer.drop(told("slow_client", run.run_id, "too far behind; resume from the last id"))
    if not ended and after != NEW_ONLY:
        buffer.put([await _farewell(services, run, ends)])
    return None


def _blocks(batch: Sequence[Event], wanted: Wanted | None) -> tuple[list[bytes], int]:
    chosen = batch if wanted is None else [event for event in batch if wanted(event.name)]
    return [event.block for event in chosen], len(chosen)


async def _farewell(services: Services, run: Run, ends: bool) -> bytes:
    """What to send when the log gave no `end`: nothing when the client has it already, or when the run was removed;
    else that the log is not kept any more, and with `ends` how the run ended."""
    if await services.events.exists(run.run_id):
        return b""
    try:
        now = await services.runs.get(run.thread_id, run.run_id)
    except NotFound:
        return b""
    if now.status in ("pending", "running"):
        return b""
    gap = told("gap", run.run_id, "the events of this run are not kept any more")
    if not ends:
        return gap
    end = dumps({"run_id": run.run_id, "status": now.status})
    return gap + encode_block("end", end, _BEYOND_ID)


def told(name: str, ident: str, detail: str) -> bytes:
    """An event of ours, without an id: it is not part of the log. `ident` is the run, or the thread."""
    return encode_block(name, dumps({"run_id": ident, "detail": detail}))
