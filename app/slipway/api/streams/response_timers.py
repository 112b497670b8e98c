"""The timers of a long response: pings, and the time limit for a client that does not read. Neither needs a task that
lives as long as the response."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from starlette.types import Send


class Pings:
    """Sends `ping` every `ping_s` seconds after `start`. If the client does not read, at most one ping waits."""

    def __init__(self, send: Send, ping: bytes, ping_s: float) -> None:
        self._send, self._ping, self._ping_s = send, ping, ping_s
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self._sending: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._timer = self._loop.call_later(self._ping_s, self._on_timer)

    def stop(self) -> None:
        """A ping that waits is not sent."""
        if self._timer is not None:
            self._timer.cancel()
        if self._sending is not None:
            self._sending.cancel()

    def _on_timer(self) -> None:
        self.start()
        if self._sending is None or self._sending.done():
            self._sending = self._loop.create_task(self._send_ping(), name="ping")

    async def _send_ping(self) -> None:
        await self._send({"type": "http.response.body", "body": self._ping, "more_body": True})


class StallTimer:
    """Calls `on_stall` when sending one message takes longer than `timeout_s`. The timer runs on while further messages
    are sent, because starting a timer for each message costs more CPU than sending the message."""

    def __init__(self, timeout_s: float, on_stall: Callable[[], None]) -> None:
        self._timeout_s, self._on_stall, self._loop = timeout_s, on_stall, asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self._sending_since: float | None = None

    def message_started(self) -> None:
        self._sending_since = self._loop.time()
        if self._timer is None:
            self._timer = self._loop.call_later(self._timeout_s, self._check)

    def message_sent(self) -> None:
        self._sending_since = None

    def stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()

    def _check(self) -> None:
        self._timer = None
        if self._sending_since is None:
            return
        remaining_s = self._sending_since + self._timeout_s - self._loop.time()
        if remaining_s <= 0:
            self._on_stall()
        else:
            self._timer = self._loop.call_later(remaining_s, self._check)
