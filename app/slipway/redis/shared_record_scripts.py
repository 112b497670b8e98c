"""The script stubs of shared records: see `shared_records.py`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from slipway.redis.script_source import load
from slipway.redis.script_stubs import ScriptStubs

_READ: Final = load("shared_read")
_REPLACE: Final = load("shared_replace")
_RESTATE: Final = load("shared_restate")

_RECORDS_A_CALL: Final = 200
"""Records that one script copies, unless more of them have the same revision: it takes some milliseconds of Redis."""


@dataclass(frozen=True, slots=True)
class Changes:
    """Changed records, up to a revision. `records` is for the script that replaces copies."""

    revision: int
    has_more: bool
    records: bytes


class SharedRecordScripts(ScriptStubs):
    """The scripts of shared records, and reads, in one shard. Each method takes one round trip."""

    async def revision(self) -> int:
        """The greatest revision that the shard has: it knows all changes up to this one. 0 for none."""
        newest = await self._pipeline.send("ZREVRANGE", self._keys.shared_changes, 0, 0, "WITHSCORES", repeatable=True)
        return int(float(newest[1])) if newest else 0

    async def names(self) -> list[str]:
        """The names of all records that the shard has ever got."""
        names = await self._pipeline.send("ZRANGE", self._keys.shared_changes, 0, -1, repeatable=True)
        return [name.decode() for name in names]

    async def read(self, copies: Sequence[int]) -> Changes | None:
        """What copies with these revisions lack; only in the first shard. None if it has not given one of them."""
        arguments = self._args(copies=[str(revision) for revision in copies], limit=_RECORDS_A_CALL)
        reply = await self._pipeline.run(_READ, [], arguments)
        return None if reply[0] == b"unknown" else Changes(int(reply[1]), bool(reply[2]), reply[3])

    async def replace(self, changes: Changes) -> int:
        """Replaces the copies that are older. Returns how many were."""
        return int(await self._pipeline.run(_REPLACE, [], [self._keys.prefix, changes.records]))

    async def restate(self, revisions: Sequence[int], names: Sequence[str]) -> int:
        """Gives all records, and those of these names, revisions above all; only in the first shard. Returns how many
        records there are."""
        arguments = self._args(revisions=[str(each) for each in revisions], names=list(names))
        return int(await self._pipeline.run(_RESTATE, [], arguments))
