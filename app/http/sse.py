"""Event streams: a run's log as server-sent events.

Frames come from the log as bytes and go out as bytes, all that waits in one write; what is added is the id line, the
`retry:` of the first block, and a comment every few seconds. A comment has no blank line after it: older clients
take a blank line for an event. A client that stops reading is cut with `slow_client` and may resume from its last id.
A stream that ends before its run does is broken off: older clients take a stream that closes properly for the whole.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from contextlib import ExitStack, aclosing
from typing import Final

from starlette.requests import Request

from app.errors import InvalidRequest, NotFound
from app.http.long_answers import Feed, LongAnswer, OnGone, Outbox
from app.http.wiring import answers_of, services_of
from app.runs.events import Event
from app.runs.runs import Run
from app.serialization.encoding import dumps
from app.services import Services

STREAM_HEADERS: Final = {
    "content-type": "text/event-stream; charset=utf-8",
    "cache-control": "no-store",
    "x-accel-buffering": "no",
}
"""Nothing between here and the client may keep or gather what is sent."""
HEARTBEAT: Final = b": heartbeat\r\n"
RETRY: Final = b"retry: 1000\r\n"
FROM_START: Final = "0"
NEW_ONLY: Final = "$"

STALLED_S: Final = 5.0
"""How long a client with a full outbox may take nothing."""
_EVENT_ID: Final = re.compile(r"\d{1,15}(-\d{1,15})?")
_START_WORDS: Final = frozenset({"-1", "0", "-"})
_ALWAYS: Final = frozenset({"metadata", "error", "end", "gap", "feedback"})

Wanted = Callable[[str], bool]
"""Whether events of a name go to this client."""


def position(request: Request) -> str | None:
    """Where the client wants to go on, by `Last-Event-ID`: None when it did not say."""
    given = request.headers.get("last-event-id")
    if given is None or not given.strip():
        return None
    if given.strip() in _START_WORDS:
        return FROM_START
    if not _EVENT_ID.fullmatch(given.strip()):
        raise InvalidRequest("Last-Event-ID", f"{given!r} is not an event id, -1, 0 or -")
    return given.strip()


def only(modes: Sequence[str]) -> Wanted | None:
    """Events of these stream modes, and those that belong to every stream; None lets all through."""
    if not modes:
        return None
    names = frozenset(modes) | _ALWAYS
    messages = "messages" in names or "messages-tuple" in names

    def wanted(name: str) -> bool:
        return name in names or name.partition("|")[0] in names or (messages and name.startswith("messages"))

    return wanted


def event_stream(
    request: Request,
    run: Run,
    after: str,
    *,
    wanted: Wanted | None = None,
    on_gone: OnGone | None = None,
    held: ExitStack | None = None,
    place: str | None = None,
) -> LongAnswer:
    """The events of `run` that follow `after`, then live until its end. `place` is the run's path, when that is not
    below its thread."""
    services = services_of(request)

    async def feed(outbox: Outbox) -> None:
        await _feed(services, run, after, wanted, outbox)
        outbox.finish(whole=True)

    return streamed(
        request,
        feed,
        headers=stream_headers(place or f"/threads/{run.thread_id}/runs/{run.run_id}"),
        parting=told("reconnect", run.run_id, "this server stops; come back with the last id"),
        all_or_nothing=True,
        on_gone=on_gone,
        held=held,
    )


def streamed(
    request: Request,
    feed: Feed,
    *,
    headers: dict[str, str] = STREAM_HEADERS,
    parting: bytes = b"",
    all_or_nothing: bool = False,
    on_gone: OnGone | None = None,
    held: ExitStack | None = None,
) -> LongAnswer:
    """What `feed` puts, as server-sent events with a heartbeat; the rest is as `LongAnswer` has it."""
    settings = services_of(request).settings
    return LongAnswer(
        feed,
        headers=headers,
        beat=HEARTBEAT,
        ping_s=settings.sse_ping_s,
        most=settings.sse_buffer_events,
        answers=answers_of(request),
        parting=parting,
        all_or_nothing=all_or_nothing,
        on_gone=on_gone,
        held=held,
    )


def stream_headers(place: str) -> dict[str, str]:
    """Of a run's stream; `place` is the run's path."""
    return {**STREAM_HEADERS, "location": f"{place}/stream", "content-location": place}


async def _feed(services: Services, run: Run, after: str, wanted: Wanted | None, outbox: Outbox) -> None:
    opening, ended = RETRY, False
    async with aclosing(services.events.follow(run.run_id, after)) as batches:
        async for batch in batches:
            blocks, count = _blocks(batch, wanted)
            if blocks and opening:
                blocks[0], opening = opening + blocks[0], b""
            outbox.put(blocks, count)
            ended = batch[-1].last
            if not await outbox.room(STALLED_S):
                return outbox.drop(told("slow_client", run.run_id, "too far behind; resume from the last id"))
    if not ended and after != NEW_ONLY:
        outbox.put([await _farewell(services, run)])
    return None


def _blocks(batch: Sequence[Event], wanted: Wanted | None) -> tuple[list[bytes], int]:
    chosen = batch if wanted is None else [event for event in batch if wanted(event.name)]
    return [event.block for event in chosen], len(chosen)


async def _farewell(services: Services, run: Run) -> bytes:
    """What to say when the log gave no `end`: nothing when the client has it already, or when the run was removed;
    else that the log is not kept any more, and how the run ended."""
    if await services.events.exists(run.run_id):
        return b""
    try:
        now = await services.runs.get(run.thread_id, run.run_id)
    except NotFound:
        return b""
    if now.status in ("pending", "running"):
        return b""
    end = b"event: end\r\ndata: %b\r\n\r\n" % dumps({"run_id": run.run_id, "status": now.status})
    return told("gap", run.run_id, "the events of this run are not kept any more") + end


def told(name: str, ident: str, detail: str) -> bytes:
    """An event of ours, without an id: it is not part of the log. `ident` is the run, or the thread."""
    return b"event: %b\r\ndata: %b\r\n\r\n" % (name.encode(), dumps({"run_id": ident, "detail": detail}))
