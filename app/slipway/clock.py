"""The clock of a process, which tests replace.

Everything that processes must agree on (leases, due times, order of runs) uses the clock of Redis, inside the scripts.
This clock is for what one process measures and shows.
"""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime


class Clock:
    """The clock of the machine."""

    def now(self) -> datetime:
        """Wall clock, UTC."""
        return datetime.now(UTC)

    def monotonic(self) -> float:
        """Seconds that never go back; only differences mean anything."""
        return time.monotonic()

    async def sleep(self, delay_s: float) -> None:
        """Lets other tasks run for `delay_s` seconds."""
        await asyncio.sleep(delay_s)


def iso(moment_us: int) -> str:
    """Microseconds since the epoch as ISO 8601 in UTC, with microseconds and an explicit offset."""
    return datetime.fromtimestamp(moment_us / 1_000_000, UTC).isoformat(timespec="microseconds")
