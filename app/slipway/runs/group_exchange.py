"""Exchanges the slots of concurrency groups between shards of threads.

A group has as many slots as its limit says, and each shard of threads has some of them. A script that claims runs, or
ends one, looks only at the slots of its own shard. A shard without free slots parks its jobs, and asks for slots:

1. The shard says what it has and wants (`group_sync.lua`).
2. The shard of limits, which notes how many slots each shard has at most, gives it a free slot, or says which shards
   owe one (`group_exchange.lua`): those with more than their part first, then all in turns.
3. These shards give free slots back at once, and others when their runs end, instead of starting a parked job.

A slot is noted for a shard before the shard has it, and until it has given it back. So whoever is killed in between,
the limit is never exceeded. Each decision has a revision, and what is lost in between is said again: a claim returns
the group again after a second, and the duty `group_slots` of the workers continues exchanges that nobody continues.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Final

from slipway.redis.per_shard import PerShard
from slipway.redis.pipeline import Pipeline
from slipway.redis.shards import Shards
from slipway.runs.group_scripts import GroupLimitScripts, GroupScripts, SlotDecision

_MOST_ROUNDS: Final = 10
_GROUPS_AT_ONCE: Final = 100
_CONTINUE_AFTER_MS: Final = 1000


class GroupExchange:
    """Exchanges the slots of groups, over one pipeline."""

    def __init__(self, pipeline: Pipeline, shards: Shards) -> None:
        self._shards = PerShard(shards, partial(GroupScripts, pipeline))
        self._limits = GroupLimitScripts(pipeline, shards.limits)

    async def exchange(self, group: str, shards: Sequence[int], *, until_ms: str | None = None) -> None:
        """Exchanges slots as long as some are free or given back. `shards` are those that may want some. With
        `until_ms`, the first of them has asked for it."""
        told: Mapping[int, SlotDecision | None] = dict.fromkeys(shards)
        for _ in range(_MOST_ROUNDS):
            replies = await asyncio.gather(*(self._shards[each].sync(group, told[each]) for each in told))
            reports = dict(zip(told, replies, strict=True))
            decisions = await self._limits.exchange(group, reports)
            told = {shard: each for shard, each in decisions.items() if _is_news(told.get(shard), each)}
            if not told:
                break
        if until_ms is not None:
            await self._shards[shards[0]].sync(group, until_ms=until_ms)

    async def continue_exchanges(self) -> int:
        """Continues the exchanges that nobody has continued for a second. Returns how many."""
        wanted = await self._limits.wanted(idle_ms=_CONTINUE_AFTER_MS, limit=_GROUPS_AT_ONCE)
        for group, shards in wanted:
            await self.exchange(group, shards)
        return len(wanted)


def _is_news(before: SlotDecision | None, now: SlotDecision) -> bool:
    """Whether a shard must be told: it was not told just this."""
    return before != now
