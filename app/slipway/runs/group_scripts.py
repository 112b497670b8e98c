"""The script stubs with which shards of threads exchange slots of concurrency groups. See `group_exchange.py`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from slipway.redis.script_source import load
from slipway.redis.script_stubs import ScriptStubs

_SYNC: Final = load("group_sync")
_EXCHANGE: Final = load("group_exchange")
_READ: Final = load("groups_wanted_read")


@dataclass(frozen=True, slots=True)
class SlotReport:
    """What a shard has of a group."""

    slots: int
    revision: int
    wants: bool
    """Whether jobs are parked for lack of slots."""
    limit: int
    """Of the group; 0 if no job is parked, so that nobody knows it here."""


@dataclass(frozen=True, slots=True)
class SlotDecision:
    """What a shard is to have of a group."""

    slots: int
    revision: int
    owed: int
    """How many of them it is to give back, now or when runs end."""


class GroupScripts(ScriptStubs):
    """On a shard of threads. One round trip each."""

    async def sync(
        self, group: str, decision: SlotDecision | None = None, *, until_ms: str | None = None
    ) -> SlotReport:
        """Tells the shard a decision, and returns what it has. `until_ms` is that of the exchange that has ended."""
        decided = {} if decision is None else {"slots": decision.slots, "revision": decision.revision}
        owed = None if decision is None else decision.owed
        arguments = self._args(group=group, **decided, owed=owed, until_ms=until_ms)
        slots, revision, wants, limit = await self._pipeline.run(_SYNC, [], arguments)
        return SlotReport(int(slots), int(revision), wants != b"", int(limit or 0))


class GroupLimitScripts(ScriptStubs):
    """On the shard of limits. One round trip each."""

    async def exchange(self, group: str, reports: Mapping[int, SlotReport]) -> dict[int, SlotDecision]:
        """Divides the slots. Returns what shards must be told, by number."""
        packed = [[shard, each.slots, each.revision, each.wants, each.limit] for shard, each in reports.items()]
        reply = await self._pipeline.run(_EXCHANGE, [], self._args(group=group, reports=packed))
        return {int(shard): SlotDecision(*map(int, decision)) for shard, *decision in reply}

    async def wanted(self, *, idle_ms: int, limit: int) -> list[tuple[str, Sequence[int]]]:
        """The groups whose slots are wanted and whose exchange nobody has continued for `idle_ms`, with the shards that
        have or want slots."""
        reply = await self._pipeline.run(_READ, [], self._args(idle_ms=idle_ms, limit=limit))
        return [(group.decode(), [int(shard) for shard in shards]) for group, shards in reply]
