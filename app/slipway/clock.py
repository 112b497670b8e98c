"""The clock of a process, which tests replace.

Times on which processes must agree (leases, due times, order of runs) come from the clock of Redis, in scripts. What a
process decides itself, such as whether a credential has expired, it decides by `redis.redis_clock.RedisClock`. The
clock of the host is for times that only one process measures or displays.
"""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime, timedelta
from typing import Final

_EPOCH: Final = datetime.fromtimestamp(0, UTC)


class Clock:
    """The clock of the machine."""

    def now(self) -> datetime:
        """The date and time in UTC."""
        return datetime.now(UTC)

    def monotonic(self) -> float:
        """Seconds that never decrease. Only the difference of two values has a meaning."""
        return time.monotonic()

    async def sleep(self, delay_s: float) -> None:
        await asyncio.sleep(delay_s)


def microseconds_of(moment: datetime) -> int:
    """A time with an offset as microseconds since the epoch. Raises `OverflowError`."""
    return (moment - _EPOCH) // timedelta(microseconds=1)


def microseconds(text: str) -> int:
    """A text in ISO 8601 as microseconds since the epoch. Without an offset it is in UTC. Raises `ValueError`."""
    try:
        moment = datetime.fromisoformat(text)
        return microseconds_of(moment if moment.tzinfo else moment.replace(tzinfo=UTC))
    except OverflowError:
        raise ValueError(text) from None


def iso(moment_us: int) -> str:
    """Microseconds since the epoch as a text in ISO 8601, in UTC, with microseconds and an explicit offset."""
    return datetime.fromtimestamp(moment_us / 1_000_000, UTC).isoformat(timespec="microseconds")
