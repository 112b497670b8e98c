"""Follows the switches, in every process that executes runs or accepts new ones.

A change is published on a channel, and the switches are read every `POLL_S` seconds as well, because a message may be
lost. While Redis is unavailable, the switches are those that were read last.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import Final

import structlog

from slipway.errors import StoreUnavailable
from slipway.redis.subscriber import Subscriber
from slipway.switches.record import NONE_OFF, OffSwitches
from slipway.switches.scripts import SwitchScripts

log = structlog.get_logger(__name__)

POLL_S: Final = 0.5
"""Seconds between two reads. A change that was not published takes effect within this time and a round trip."""


class SwitchWatch:
    """The switches that are off, as this process knows them. `on_change` is called after each change."""

    def __init__(self, scripts: SwitchScripts, subscriber: Subscriber) -> None:
        self._scripts, self._subscriber = scripts, subscriber
        self.off: OffSwitches = NONE_OFF
        """Those that are off. Replaced as a whole by each change, so that any thread may read it."""
        self.on_change: Callable[[], None] = lambda: None
        self._changed = asyncio.Event()
        self._watching: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Reads the switches, and follows them until `close`. Raises `StoreUnavailable`."""
        subscribed = self._subscriber.subscribe(self._scripts.changes_channel, lambda _: self._changed.set())
        await self.refresh()
        self._watching = asyncio.create_task(self._watch(), name="switch watch")
        await subscribed

    async def close(self) -> None:
        """Ends the watch."""
        if self._watching is not None:
            self._watching.cancel()
            with suppress(asyncio.CancelledError):
                await self._watching

    async def refresh(self) -> None:
        """Reads the switches now. Raises `StoreUnavailable`."""
        off = await self._scripts.read()
        if off != self.off:
            self.off = off
            log.info("switches.changed", off=[switch.target.key for switch in off.all()])
            self.on_change()

    async def _watch(self) -> None:
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(POLL_S):
                    await self._changed.wait()
            self._changed.clear()
            try:
                await self.refresh()
            except StoreUnavailable as error:
                log.debug("switches.not_read", problem=str(error))
            except Exception:
                log.exception("switches.not_read")
