"""Time, in one place: the one thing that tests replace.

Whatever must agree between processes (leases, due times, order of runs) uses the Redis server's own clock inside
the scripts; this clock is for what one process measures and shows.
"""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime


class Clock:
    """The machine's time."""

    def now(self) -> datetime:
        """Wall clock, UTC."""
        return datetime.now(UTC)

    def monotonic(self) -> float:
        """Seconds that never go back; only differences mean anything."""
        return time.monotonic()

    async def sleep(self, delay_s: float) -> None:
        """Give way for `delay_s` seconds."""
        await asyncio.sleep(delay_s)


def iso(moment_us: int) -> str:
    """ISO 8601, UTC, microseconds and an explicit offset, of microseconds since the epoch."""
    return datetime.fromtimestamp(moment_us / 1_000_000, UTC).isoformat(timespec="microseconds")
