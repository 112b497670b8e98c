"""Answers that take their time: event streams, and JSON that is waited for.

Headers go out at once. From then on a steady beat keeps proxies and clients awake, and a client that leaves is
noticed while nothing is sent. Two small tasks and one timer a client; no connection and no command to Redis.

    feed ──▶ SendBuffer ──▶ this response ──▶ socket          watch ◀── socket

sse-starlette is not used: it spends four tasks in an anyio task group a client, writes a blank line after its
pings (older clients read that as an empty event), sends an event at a time, and has no bound on a slow reader.
"""

from __future__ import annotations

import asyncio
from asyncio import CancelledError
from collections.abc import Awaitable, Callable
from contextlib import AbstractContextManager, ExitStack, nullcontext, suppress
from functools import partial
from typing import Final

import structlog
from starlette.types import Receive, Scope, Send

from slipway.api.open_responses import OpenResponses

log = structlog.get_logger(__name__)

MAX_BUFFERED_BYTES: Final = 4 * 1024 * 1024
"""What may wait for one client; an event larger than that goes through alone."""


class SendBuffer:
    """What waits to be sent to one client, in whole blocks, so that a heartbeat may go between any two."""

    def __init__(self, *, beat: bytes, ping_s: float, most: int) -> None:
        self._loop = asyncio.get_running_loop()
        self._beat, self._ping_s, self._most = beat, ping_s, most
        self._blocks: list[bytes] = []
        self._count = self._bytes = 0
        self._beating = self._finished = self._held = False
        self.whole = False
        self._sender: asyncio.Future[None] | None = None
        self._feeder: asyncio.Future[None] | None = None
        self._timer = self._loop.call_later(ping_s, self._pulse)
        self.gone = False

    def put(self, blocks: list[bytes], count: int = 1) -> None:
        """Add `count` things to send, as the blocks they are made of."""
        if not self._finished:
            self._blocks.extend(blocks)
            self._count += count
            self._bytes += sum(map(len, blocks))
            self._wake(self._sender)

    @property
    def full(self) -> bool:
        """Whether more waits than the client may fall behind."""
        return self._count > self._most or self._bytes > MAX_BUFFERED_BYTES

    async def room(self, within_s: float) -> bool:
        """Whether the client took what waited before `within_s` had passed."""
        if not self.full:
            return True
        self._feeder = self._loop.create_future()
        with suppress(TimeoutError):
            async with asyncio.timeout(within_s):
                await self._feeder
        return not self.full

    def finish(self, last: bytes = b"", *, whole: bool = False) -> None:
        """Send what waits, then `last`, then end. `whole` says that nothing is missing."""
        if not self._finished:
            self.whole = whole
            self._blocks.append(last)
            self._finished = True
            self._timer.cancel()
            self._wake(self._sender)
            self._wake(self._feeder)

    def drop(self, last: bytes) -> None:
        """Forget what waits; end with `last`. What ends already ends as it was to."""
        if not self._finished:
            self._held = False
            self._blocks.clear()
            self.finish(last)

    def part(self, last: bytes) -> None:
        """End with `last`, because this process lets its clients go: after what waits, unless that is held back."""
        if self._held:
            self.drop(last)
        else:
            self.finish(last)

    def refuse(self, last: bytes) -> None:
        """Throw away what waits, send `last` and end properly: this client is not to have the rest, nor to come back
        for it. Also when everything was put already but not sent."""
        if not self.over:
            self._held = False
            self._blocks.clear()
            self._finished = False
            self.finish(last, whole=True)

    def hold(self) -> None:
        """Send nothing but the beat until `release`."""
        self._held = True

    def release(self) -> None:
        """Send again what waits."""
        self._held = False
        self._wake(self._sender)

    def leave(self) -> None:
        """The client has gone. It has not left what we ended ourselves."""
        if not self._finished:
            self.gone = True
            self.drop(b"")

    @property
    def over(self) -> bool:
        """Whether all was taken and nothing will come."""
        return self._finished and not self._blocks

    async def take(self) -> bytes:
        """Everything that waits, as soon as there is something. Not to be asked when all is `over`."""
        while (self._held or not self._blocks) and not self._beating:
            self._sender = self._loop.create_future()
            await self._sender
        if self._held:
            self._beating = False
            return self._beat
        if self._beating:
            self._blocks.append(self._beat)
        taken = b"".join(self._blocks)
        self._blocks, self._count, self._bytes, self._beating = [], 0, 0, False
        self._wake(self._feeder)
        return taken

    def _pulse(self) -> None:
        self._beating = True
        self._timer = self._loop.call_later(self._ping_s, self._pulse)
        self._wake(self._sender)

    @staticmethod
    def _wake(waiter: asyncio.Future[None] | None) -> None:
        if waiter is not None and not waiter.done():
            waiter.set_result(None)


Feed = Callable[[SendBuffer], Awaitable[None]]
OnDisconnect = Callable[[], Awaitable[None]]
Watch = Callable[[SendBuffer], AbstractContextManager[None]]
"""Watches over an answer while the block lasts, and may hold back, refuse or break off what is sent."""


class LongResponse:
    """An ASGI response that `feed` fills. `on_disconnect` is done when the client left before the end; `held` is closed
    when the answer is over, whichever way; `parting` ends an answer that this process has to let go. With
    `all_or_nothing` an answer that is not whole is broken off instead of ended, so that the client knows and asks
    again. `watch` lasts as long as the answer."""

    def __init__(
        self,
        feed: Feed,
        *,
        headers: dict[str, str],
        beat: bytes,
        ping_s: float,
        most: int,
        answers: OpenResponses,
        parting: bytes = b"",
        all_or_nothing: bool = False,
        on_disconnect: OnDisconnect | None = None,
        held: ExitStack | None = None,
        watch: Watch | None = None,
    ) -> None:
        self._feed, self._beat, self._ping_s, self._most = feed, beat, ping_s, most
        self._headers = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()]
        self._answers, self._parting, self._all_or_nothing = answers, parting, all_or_nothing
        self._on_gone, self._held, self._watch = on_disconnect, held, watch

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        buffer = SendBuffer(beat=self._beat, ping_s=self._ping_s, most=self._most)
        self._answers.add(buffer, partial(buffer.part, self._parting))
        helpers = [asyncio.create_task(self._filled(buffer)), asyncio.create_task(_watched(receive, buffer))]
        try:
            with self._watch(buffer) if self._watch is not None else nullcontext():
                await self._send_all(buffer, send)
        finally:
            buffer.drop(b"")
            self._answers.remove(buffer)
            await _stop(helpers)
            if self._held is not None:
                self._held.close()
        if buffer.gone and self._on_gone is not None:
            await self._on_gone()

    async def _send_all(self, buffer: SendBuffer, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": self._headers})
        while not buffer.over:
            block = await buffer.take()
            ends = buffer.over and (buffer.whole or not self._all_or_nothing)
            await send({"type": "http.response.body", "body": block, "more_body": not ends})

    async def _filled(self, buffer: SendBuffer) -> None:
        """Feed until it is through. If it breaks, the client is cut off without an `end`, and asks again."""
        try:
            await self._feed(buffer)
        except Exception:
            log.exception("http.feed_broken")
        finally:
            buffer.finish()


async def _watched(receive: Receive, buffer: SendBuffer) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
    buffer.leave()


async def _stop(tasks: list[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
    for task in tasks:
        with suppress(CancelledError):
            await task
