"""The blocks that wait to be sent to one client, and the pings between them."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Final

MAX_BUFFERED_BYTES: Final = 4 * 1024 * 1024
"""A buffer with more bytes is full. A single block may be larger."""


class SendBuffer:
    """Contains complete blocks, so that a ping can be sent between any two of them. One task adds blocks and waits
    while the buffer is full; another task takes the blocks and sends them."""

    def __init__(self, *, ping: bytes, ping_s: float, max_events: int) -> None:
        self._loop = asyncio.get_running_loop()
        self._ping, self._ping_s, self._max_events = ping, ping_s, max_events
        self._blocks: list[bytes] = []
        self._count = self._bytes = 0
        self._ping_due = self._finished = self._paused = False
        self._sender: asyncio.Future[None] | None = None
        self._producer: asyncio.Future[None] | None = None
        self._timer = self._loop.call_later(ping_s, self._on_ping)
        self.complete = False
        """Whether the client receives everything that belongs to the response."""
        self.disconnected = False
        """Whether the client disconnected before the server ended the response."""

    def put(self, blocks: list[bytes], count: int = 1) -> None:
        """Adds the blocks of `count` events, unless the response is ending."""
        if not self._finished:
            self._blocks.extend(blocks)
            self._count += count
            self._bytes += sum(map(len, blocks))
            self._notify(self._sender)

    @property
    def count(self) -> int:
        """The number of events that wait to be sent."""
        return self._count

    @property
    def is_full(self) -> bool:
        """Whether more events or bytes wait than the limits of one client allow."""
        return self._count > self._max_events or self._bytes > MAX_BUFFERED_BYTES

    @property
    def is_ending(self) -> bool:
        """Whether no more blocks are accepted."""
        return self._finished

    @property
    def is_finished(self) -> bool:
        """Whether the buffer is empty and no more blocks are accepted."""
        return self._finished and not self._blocks

    async def wait_until_not_full(self, timeout_s: float) -> bool:
        """Waits at most `timeout_s` for the client to read. Returns whether the buffer is not full."""
        if not self.is_full:
            return True
        self._producer = self._loop.create_future()
        with suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                await self._producer
        return not self.is_full

    def finish(self, last: bytes = b"", *, complete: bool = False) -> None:
        """Adds the block `last`, accepts no more blocks, and ends the response when all blocks are sent."""
        if not self._finished:
            self.complete = complete
            self._blocks.append(last)
            self._finished = True
            self._timer.cancel()
            self._notify(self._sender)
            self._notify(self._producer)

    def discard_and_end(self, last: bytes) -> None:
        """Discards the buffered blocks and sends `last`. Does nothing if the response is already ending."""
        if not self._finished:
            self._paused = False
            self._blocks.clear()
            self.finish(last)

    def end_for_shutdown(self, last: bytes) -> None:
        """Ends the response with `last`, because this process stops. Buffered blocks are sent first, unless sending is
        paused."""
        if self._paused:
            self.discard_and_end(last)
        else:
            self.finish(last)

    def revoke(self, last: bytes) -> None:
        """Ends the response of a client that is no longer authorized. Discards everything that is not sent yet, also if
        the response is already ending. Sends `last` and ends properly, so that the client does not reconnect."""
        if not self.is_finished:
            self._paused = False
            self._blocks.clear()
            self._finished = False
            self.finish(last, complete=True)

    def pause(self) -> None:
        """Sends nothing but pings until `resume`."""
        self._paused = True

    def resume(self) -> None:
        self._paused = False
        self._notify(self._sender)

    def client_disconnected(self) -> None:
        """Records that the client disconnected. Does nothing if the server already ended this response."""
        if not self._finished:
            self.disconnected = True
            self.discard_and_end(b"")

    async def take(self) -> bytes:
        """Waits for a block. Returns all blocks in the buffer as one, and removes them. Must not be called when
        `is_finished`."""
        while (self._paused or not self._blocks) and not self._ping_due:
            self._sender = self._loop.create_future()
            await self._sender
        if self._paused:
            self._ping_due = False
            return self._ping
        if self._ping_due:
            self._blocks.append(self._ping)
        joined = b"".join(self._blocks)
        self._blocks, self._count, self._bytes, self._ping_due = [], 0, 0, False
        self._notify(self._producer)
        return joined

    def _on_ping(self) -> None:
        self._ping_due = True
        self._timer = self._loop.call_later(self._ping_s, self._on_ping)
        self._notify(self._sender)

    @staticmethod
    def _notify(waiter: asyncio.Future[None] | None) -> None:
        if waiter is not None and not waiter.done():
            waiter.set_result(None)
