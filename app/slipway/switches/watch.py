"""Follows the switches, in every process that executes runs or accepts new ones."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import structlog

from slipway.redis.change_watch import ChangeWatch
from slipway.redis.subscriber import Subscriber
from slipway.switches.record import NONE_OFF, OffSwitches
from slipway.switches.scripts import SwitchScripts

log = structlog.get_logger(__name__)

POLL_S: Final = 0.5
"""Seconds between two reads. A change that was not published takes effect within this time and a round trip."""


class SwitchWatch:
    """The switches that are off, as this process knows them. `on_change` is called after each change."""

    def __init__(self, scripts: SwitchScripts, subscriber: Subscriber) -> None:
        self._scripts = scripts
        self.off: OffSwitches = NONE_OFF
        """Those that are off. Replaced as a whole by each change, so that any thread may read it."""
        self.on_change: Callable[[], None] = lambda: None
        self._watch = ChangeWatch(subscriber, scripts.changes_channel, self.refresh, records="switches", poll_s=POLL_S)

    async def start(self) -> None:
        """Reads the switches, and follows them until `close`. Raises `StoreUnavailable`."""
        await self._watch.start()

    async def close(self) -> None:
        """Ends the watch."""
        await self._watch.close()

    async def refresh(self) -> None:
        """Reads the switches now. Raises `StoreUnavailable`."""
        off = await self._scripts.read()
        if off != self.off:
            self.off = off
            log.info("switches.changed", off=[switch.target.key for switch in off.all()])
            self.on_change()
