"""Responses that stay open: event streams, and JSON that waits for the end of a run.

The headers are sent at once. Then a ping at a fixed interval keeps proxies and clients connected. A client that
disconnects is detected even while nothing is sent. Each client costs two small tasks and one timer, but no connection
to Redis and no Redis command.

    producer ──▶ SendBuffer ──▶ this response ──▶ socket          disconnect ◀── socket

sse-starlette is not used here: it runs four tasks in an anyio task group for each client, sends a blank line after its
pings (older clients read it as an empty event), sends one event at a time, and does not limit the events that wait for
a slow client.
"""

from __future__ import annotations

import asyncio
from asyncio import CancelledError
from collections.abc import Awaitable, Callable
from contextlib import AbstractContextManager, ExitStack, nullcontext, suppress
from functools import partial

import structlog
from starlette.types import Receive, Scope, Send

from slipway.api.responses_in_progress import ResponsesInProgress
from slipway.api.streams.send_buffer import SendBuffer

log = structlog.get_logger(__name__)

Producer = Callable[[SendBuffer], Awaitable[None]]
OnDisconnect = Callable[[], Awaitable[None]]
Watch = Callable[[SendBuffer], AbstractContextManager[None]]
"""Watches a response inside the block. It may pause, revoke or end the response."""


class LongResponse:
    """An ASGI response with the blocks that `produce` puts into a `SendBuffer`.

    `ping` is sent every `ping_s` seconds. `max_events` is the limit of events that wait for the client.
    `shutdown_event` is the last block when this process stops. `on_disconnect` is called when the client disconnects
    before the end. `on_close` is closed when the response has ended, for whatever reason. `watch` is entered for the
    time of the response. With `must_be_complete`, a response that is not complete is closed without its terminating
    chunk, so that the client reconnects.
    """

    def __init__(
        self,
        produce: Producer,
        *,
        headers: dict[str, str],
        ping: bytes,
        ping_s: float,
        max_events: int,
        responses_in_progress: ResponsesInProgress,
        shutdown_event: bytes = b"",
        must_be_complete: bool = False,
        on_disconnect: OnDisconnect | None = None,
        on_close: ExitStack | None = None,
        watch: Watch | None = None,
    ) -> None:
        self._produce, self._ping, self._ping_s = produce, ping, ping_s
        self._max_events, self._must_be_complete = max_events, must_be_complete
        self._headers = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()]
        self._responses_in_progress, self._shutdown_event = responses_in_progress, shutdown_event
        self._on_disconnect, self._on_close, self._watch = on_disconnect, on_close, watch

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        buffer = SendBuffer(ping=self._ping, ping_s=self._ping_s, max_events=self._max_events)
        self._responses_in_progress.add(buffer, partial(buffer.end_for_shutdown, self._shutdown_event))
        helpers = [
            asyncio.create_task(self._produce_all(buffer)),
            asyncio.create_task(_wait_for_disconnect(receive, buffer)),
        ]
        try:
            with self._watch(buffer) if self._watch is not None else nullcontext():
                await self._send_all(buffer, send)
        finally:
            buffer.discard_and_end(b"")
            self._responses_in_progress.remove(buffer)
            await _cancel(helpers)
            if self._on_close is not None:
                self._on_close.close()
        if buffer.disconnected and self._on_disconnect is not None:
            await self._on_disconnect()

    async def _send_all(self, buffer: SendBuffer, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": self._headers})
        while not buffer.is_finished:
            block = await buffer.take()
            ends = buffer.is_finished and (buffer.complete or not self._must_be_complete)
            await send({"type": "http.response.body", "body": block, "more_body": not ends})

    async def _produce_all(self, buffer: SendBuffer) -> None:
        """After an unexpected exception the response ends without its last event, so that the client reconnects."""
        try:
            await self._produce(buffer)
        except Exception:
            log.exception("http.stream_failed")
        finally:
            buffer.finish()


async def _wait_for_disconnect(receive: Receive, buffer: SendBuffer) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
    buffer.client_disconnected()


async def _cancel(tasks: list[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
    for task in tasks:
        with suppress(CancelledError):
            await task
