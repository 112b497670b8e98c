"""Pauses a long response, or ends it before its content is complete. Event streams and waiting responses both have such
a control; whoever watches a response uses it, whichever of the two it is."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Ending:
    """How a response ends: its last bytes, and whether the client then has everything that it should receive."""

    last: bytes = b""
    complete: bool = False


class ResponseControl:
    """Only the first end of a response has an effect. If that is before its content is complete, `stop_content` is
    called, and the response sends no more content."""

    def __init__(self, stop_content: Callable[[], None]) -> None:
        self._stop_content = stop_content
        self.ending: Ending | None = None
        self.disconnected = False
        """Whether the client disconnected before the response ended."""
        self._resumed: asyncio.Event | None = None

    @property
    def is_ending(self) -> bool:
        """Whether no more content is sent."""
        return self.ending is not None

    @property
    def is_complete(self) -> bool:
        """Whether all of the content was sent, but for the last bytes."""
        return self.ending is not None and self.ending.complete

    def pause(self) -> None:
        """Until `resume`, the response sends nothing but pings."""
        if self._resumed is None:
            self._resumed = asyncio.Event()

    def resume(self) -> None:
        if self._resumed is not None:
            self._resumed.set()
            self._resumed = None

    async def wait_while_paused(self) -> None:
        """The response calls this before each part of its content."""
        while self._resumed is not None:
            await self._resumed.wait()

    def complete(self, last: bytes = b"") -> None:
        """Called by the response when it has sent all of its content but `last`."""
        if self.ending is None:
            self.ending = Ending(last, complete=True)

    def end(self, last: bytes = b"") -> None:
        """Discards what is not sent yet and ends the response with `last`, incomplete: the client may reconnect."""
        self._end(Ending(last))

    def revoke(self, last: bytes) -> None:
        """Ends the response of a client that is no longer authorized: discards what is not sent yet, sends `last` and
        ends properly, so that the client does not reconnect."""
        self._end(Ending(last, complete=True))

    def client_disconnected(self) -> None:
        if self.ending is None:
            self.disconnected = True
            self.end()

    def _end(self, ending: Ending) -> None:
        if self.ending is None:
            self.ending = ending
            self._stop_content()


Watch = Callable[[ResponseControl], AbstractContextManager[None]]
"""Watches a response inside the block. It may pause, revoke or end the response."""


def resolve(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)
