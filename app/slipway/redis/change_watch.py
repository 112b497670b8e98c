"""Keeps what a process knows of shared records up to date.

A change is published on a channel, and the records are read at an interval as well, because a message may be lost.
While Redis is unavailable, the process knows what it has read last.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress

import structlog

from slipway.errors import StoreUnavailable
from slipway.redis.subscriber import Subscriber

log = structlog.get_logger(__name__)


class ChangeWatch:
    """Calls `read` after each message on a channel, and `poll_s` seconds after the call before at the latest. `records`
    names in logs what is read."""

    def __init__(
        self, subscriber: Subscriber, channel: str, read: Callable[[], Awaitable[None]], *, records: str, poll_s: float
    ) -> None:
        self._subscriber, self._channel, self._read = subscriber, channel, read
        self._records, self._poll_s = records, poll_s
        self._changed = asyncio.Event()
        self._watching: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Reads the records, and follows them until `close`. Raises `StoreUnavailable`."""
        subscribed = self._subscriber.subscribe(self._channel, lambda _: self._changed.set())
        await self._read()
        self._watching = asyncio.create_task(self._watch(), name=f"watch of {self._records}")
        await subscribed

    async def close(self) -> None:
        """Ends the watch."""
        if self._watching is not None:
            self._watching.cancel()
            with suppress(asyncio.CancelledError):
                await self._watching

    async def _watch(self) -> None:
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(self._poll_s):
                    await self._changed.wait()
            self._changed.clear()
            try:
                await self._read()
            except StoreUnavailable as error:
                log.debug("records.not_read", records=self._records, problem=str(error))
            except Exception:
                log.exception("records.read_failed", records=self._records)
