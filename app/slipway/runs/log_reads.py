"""The read stubs of event logs and audit trails."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from slipway.redis.read_stubs import ReadStubs

RawEntry = Sequence[Any]
"""An entry as Redis returns it: its id, and its fields as a flat list of names and values."""

_ONE: Final = ("COUNT", 1)


@dataclass(frozen=True, slots=True)
class LogPage:
    """Entries in the order of the log. `is_last`: the log has none after them."""

    entries: list[RawEntry]
    is_last: bool


class LogReads(ReadStubs):
    """One round trip each."""

    def channel(self, run_id: str) -> str:
        """The channel of notifications about new events."""
        return self._keys.run_notifications(run_id)

    async def exists(self, run_id: str) -> bool:
        return bool(await self._pipeline.send("EXISTS", self._keys.events(run_id), repeatable=True))

    async def newest(self, run_id: str, count: int = 1) -> list[RawEntry]:
        """Up to `count` entries, newest first. Empty if the log has expired."""
        key = self._keys.events(run_id)
        entries: list[RawEntry] = await self._pipeline.send("XREVRANGE", key, "+", "-", "COUNT", count, repeatable=True)
        return entries

    async def ends(self, run_id: str) -> tuple[RawEntry | None, RawEntry | None]:
        """The oldest and the newest entry. Both are None if the log has expired."""
        oldest = self._pipeline.send("XRANGE", self._keys.events(run_id), "-", "+", *_ONE, repeatable=True)
        newest = await self.newest(run_id)
        return next(iter(await oldest), None), next(iter(newest), None)

    async def audit(self, run_id: str, after: str, limit: int) -> list[RawEntry]:
        """Up to `limit` entries of the audit trail after the one with the id `after`, the oldest first."""
        key, start = self._keys.run_audit(run_id), f"({after}" if after else "-"
        entries: list[RawEntry] = await self._pipeline.send("XRANGE", key, start, "+", "COUNT", limit, repeatable=True)
        return entries
