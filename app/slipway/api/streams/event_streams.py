"""Sends an iterator of SSE blocks as a response. Every event stream of the API and of the pages goes through
`stream_response`; nothing else builds such a response.

sse-starlette's `EventSourceResponse` pulls the blocks and sends them. Nothing is pulled for a client that does not
read; it is disconnected, and can resume after the last id that it received. If a stream must be complete but is not, it
is closed without its terminating chunk, because older clients treat a proper end of the stream as the end of the run.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import aclosing, nullcontext
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Final

import structlog
from sse_starlette.sse import EventSourceResponse
from starlette.requests import Request
from starlette.types import Message, Receive, Scope, Send

from slipway.api.body_send import body_send_of
from slipway.api.responses_in_progress import ResponsesInProgress
from slipway.api.shared_objects import responses_in_progress_of, services_of
from slipway.api.streams.access_watch import FinalEvent, error_event
from slipway.api.streams.client_disconnect import end_when_disconnected
from slipway.api.streams.credential_watch import while_credentials_last
from slipway.api.streams.response_control import Ending, ResponseControl
from slipway.api.streams.response_lifetime import UNWATCHED, ResponseLifetime
from slipway.api.streams.response_timers import Pings, StallTimer
from slipway.api.streams.stoppable_content import StoppableContent
from slipway.serialization.json_encoding import dumps
from slipway.sse_frames import PING, RETRY, encode_block

log = structlog.get_logger(__name__)

STREAM_HEADERS: Final = {
    "content-type": "text/event-stream; charset=utf-8",
    "cache-control": "no-store",
    "x-accel-buffering": "no",
}
"""No proxy may store or buffer a stream."""

STALL_TIMEOUT_S: Final = 5.0
"""A client that does not read the previous part of its stream within this time is disconnected."""
PART_BYTES: Final = 64 * 1024
"""The blocks of a batch are sent in parts of about this size, so that a client that reads slowly is not disconnected
while it reads a large batch. A block is never divided, because a ping may follow each part."""


@dataclass(frozen=True, slots=True)
class Blocks:
    """The next blocks of a stream. With `needs_check` the client is authorized again before they are sent, because they
    are the first blocks of a run or contain a state. Blocks that `are_last` are sent in one write with the end of the
    stream, and nothing that follows them is sent."""

    blocks: list[bytes]
    needs_check: bool = False
    are_last: bool = False


_NO_LOCK: Final = nullcontext()
"""In place of the lock of the library for its pings and the end of the content, which takes 1 KB and `Pings` does not
need."""


Recheck = Callable[[ResponseControl], Awaitable[bool]]
"""Returns whether the client is still authorized. Ends the response if it is not."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamOptions:
    """How an event stream begins and ends."""

    headers: Mapping[str, str] = field(default_factory=lambda: STREAM_HEADERS)
    prefix: bytes = RETRY
    """Begins the first block."""
    slow_client_event: bytes = b""
    """The last block for a client that does not read. If it is empty, no block names the reason."""
    shutdown_event: bytes = b""
    """The last block when this process stops. If it is empty, no block names the reason."""
    must_be_complete: bool = False
    """A response that is not complete is closed without its terminating chunk, so that the client reconnects."""
    check: Recheck | None = None
    """Called before a batch with `needs_check` is sent. None: such a batch is sent as any other."""
    lifetime: ResponseLifetime = UNWATCHED
    final_event: FinalEvent = error_event
    """Builds the last block for a client whose credentials have ended."""


def stream_response(request: Request, batches: AsyncGenerator[Blocks, None], options: StreamOptions) -> EventStream:
    """The response that sends `batches`, complete when the iterator ends."""
    ping_s = services_of(request).settings.sse_ping_s
    lifetime = while_credentials_last(request, options.lifetime, options.final_event)
    options = replace(options, lifetime=lifetime)
    return EventStream(batches, options, ping_s=ping_s, responses_in_progress=responses_in_progress_of(request))


class EventStream(EventSourceResponse):
    """Sends the blocks of `batches`, joined to parts, and a ping every `ping_s` seconds."""

    def __init__(
        self,
        batches: AsyncGenerator[Blocks, None],
        options: StreamOptions,
        *,
        ping_s: float,
        responses_in_progress: ResponsesInProgress,
    ) -> None:
        self._content = StoppableContent()
        self._control = control = ResponseControl(self._content.stop)
        super().__init__(_parts(batches, control, options.check, options.prefix))
        self._send_lock = _NO_LOCK  # type: ignore[assignment]
        self.raw_headers = [
            (name.encode("latin-1"), value.encode("latin-1")) for name, value in options.headers.items()
        ]
        self._stall_timer = StallTimer(STALL_TIMEOUT_S, partial(control.end, options.slow_client_event))
        self._options, self._ping_s, self._responses_in_progress = options, ping_s, responses_in_progress
        self._started = self._ended = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        control, lifetime, send_body = self._control, self._options.lifetime, body_send_of(scope, send)
        pings = Pings(send_body, PING, self._ping_s)

        async def send_part(message: Message) -> None:
            """Sends a message of the library. Its last message is replaced by the end of the response."""
            if message["type"] == "http.response.start":
                self._started = True
                await send(message)
                pings.start()
            elif message["more_body"]:
                if not control.is_ending:
                    await send_body(message)
            elif control.is_complete:
                pings.stop()
                await self._send_end(send)

        at_shutdown = partial(control.end, self._options.shutdown_event)
        try:
            with lifetime.in_progress(control, self._responses_in_progress, at_shutdown):
                await self._send_content(scope, receive, send_part)
        except Exception:
            log.exception("http.stream_failed")
            control.end()
        finally:
            pings.stop()
            self._stall_timer.stop()
        if control.disconnected:
            await lifetime.report_disconnect()
        else:
            await self._send_end(send)

    async def _send_end(self, send: Send) -> None:
        """Sends the last bytes, once."""
        if self._ended:
            return
        self._ended = True
        if not self._started:
            await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
        ending = self._control.ending or Ending()
        ends = ending.complete or not self._options.must_be_complete
        await send({"type": "http.response.body", "body": ending.last, "more_body": not ends})

    async def _send_content(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Replaces the tasks of the library: one for the content, and one for each reason to stop it."""
        if scope["method"] == "HEAD":
            return self._control.complete()
        listening = asyncio.create_task(end_when_disconnected(receive, self._control), name="disconnect")
        try:
            await self._content.send(self._stream_response(send))
        finally:
            listening.cancel()
        return None

    async def _send_with_timeout(self, send: Send, message: Message) -> None:
        """Replaces the method of the library, which starts a timer for each message."""
        self._stall_timer.message_started()
        await send(message)
        self._stall_timer.message_sent()


async def _parts(
    batches: AsyncGenerator[Blocks, None], control: ResponseControl, check: Recheck | None, prefix: bytes
) -> AsyncGenerator[bytes, None]:
    """`prefix` and the blocks, joined to parts. Then completes the response; the part with the last blocks is sent with
    its end."""
    last = b""
    async with aclosing(batches):
        async for batch in batches:
            if batch.needs_check and check is not None and not await check(control):
                return
            part = b""
            for next_part in _joined(batch.blocks):
                if part:
                    await control.wait_while_paused()
                    yield part
                part, prefix = prefix + next_part, b""
            if batch.are_last:
                last = part
                break
            if part:
                await control.wait_while_paused()
                yield part
    await control.wait_while_paused()
    control.complete(last)


def _joined(blocks: Sequence[bytes]) -> Iterator[bytes]:
    """The blocks, joined to parts of at least `PART_BYTES`, and the rest."""
    part: list[bytes] = []
    size = 0
    for block in blocks:
        part.append(block)
        size += len(block)
        if size >= PART_BYTES:
            yield b"".join(part)
            part, size = [], 0
    if part:
        yield b"".join(part)


def server_event(name: str, record_id: str, detail: str) -> bytes:
    """An event about the connection. It has no id, because it is not in a log. `record_id` is the id of the run or of
    the thread."""
    return encode_block(name, dumps({"run_id": record_id, "detail": detail}))


def slow_client_event(record_id: str) -> bytes:
    """The last event for a client that does not read."""
    detail = "This client reads too slowly and was disconnected. Reconnect with the last event id."
    return server_event("slow_client", record_id, detail)


def shutdown_event(record_id: str) -> bytes:
    """The last event for the clients of a process that stops."""
    return server_event("reconnect", record_id, "This process is stopping. Reconnect with the last event id.")
