"""The clock of Redis in a process.

Processes on different hosts must agree about when a credential, a period or a schedule ends, and their own clocks may
differ. So a process measures how far its clock is from that of Redis, when it starts and then every minute. In between
it trusts its monotonic clock, which nobody sets.
"""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime
from typing import Final

from slipway.clock import Clock
from slipway.errors import StoreUnavailable
from slipway.redis.pipeline import Pipeline

EVERY_S: Final = 60.0
"""The interval of measurements: one command each."""

PRECISE_S: Final = 0.05
"""The largest round trip, in seconds, of a measurement that replaces an earlier one: the error is at most half of
it."""

_ONE_CLOCK: Final = "clock"
"""On a cluster, all processes read the clock of the server that has the slot of this text."""

_READINGS: Final = 3
"""How often the first measurement asks at most, until a round trip is short enough."""


class RedisClock(Clock):
    """What the clock of Redis shows, within half of a round trip. Until `measure` has returned, and only then, it is
    the clock of this host."""

    def __init__(self) -> None:
        self._ahead_s: float | None = None
        """Seconds between the monotonic clock of this process and the clock of Redis."""

    def now(self) -> datetime:
        """The date and time in UTC. Costs no command."""
        if self._ahead_s is None:
            return super().now()
        return datetime.fromtimestamp(time.monotonic() + self._ahead_s, UTC)

    async def measure(self, pipeline: Pipeline) -> None:
        """Reads the clock of Redis. Raises `StoreUnavailable`."""
        for _ in range(_READINGS):
            sent_at = time.monotonic()
            seconds, micros = await pipeline.send("TIME", at=_ONE_CLOCK, repeatable=True)
            took_s = time.monotonic() - sent_at
            if took_s <= PRECISE_S or self._ahead_s is None:
                self._ahead_s = int(seconds) + int(micros) / 1e6 - (sent_at + took_s / 2)
            if took_s <= PRECISE_S:
                return

    async def keep_measuring(self, pipeline: Pipeline) -> None:
        """Measures every `EVERY_S` seconds until it is cancelled. While Redis is unavailable, the last measurement
        holds."""
        while True:
            await asyncio.sleep(EVERY_S)
            try:
                await self.measure(pipeline)
            except StoreUnavailable:
                continue
