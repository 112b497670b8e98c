"""Where a repair of the indexes of threads is."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class CheckPosition:
    """`cursor` is that of ZSCAN. `started_us` is when the repair began, in µs on the clock of Redis: threads that
    changed since then may be out of date again, also if the repair was interrupted."""

    cursor: str
    started_us: int

    @classmethod
    def from_stored(cls, stored: bytes) -> CheckPosition:
        """From the text that `stored` returned."""
        cursor, _, started_us = stored.decode().partition(":")
        return cls(cursor, int(started_us))

    def stored(self) -> str:
        return f"{self.cursor}:{self.started_us}"
