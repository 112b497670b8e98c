"""Deletes threads whose time to live has ended, or all of their checkpoints except the latest: the thread's strategy
decides. Busy threads are skipped and remain due.

Interval: `checkpointer.ttl.sweep_interval_minutes` of langgraph.json. One round handles at most `sweep_limit` threads.
Who: one worker at a time.
Logs: `retention.swept` with the number of deleted and pruned threads, if there were any.

The threads of a shard are in one sorted set, ordered by the time when they are due, so a round reads only those that
are due.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Final

import structlog

from slipway.duties.exclusive_duty import ExclusiveDuty
from slipway.graphs.official_sections import ThreadTtlSection
from slipway.redis.per_shard import PerShard
from slipway.services import Services
from slipway.threads.scripts import ThreadScripts, ThreadShardScripts

log = structlog.get_logger(__name__)

_PAGE: Final = 100
"""The most threads that one script call handles."""


class Retention(ExclusiveDuty):
    """One round deletes or prunes the threads that are due."""

    name = "retention"

    def __init__(self, services: Services) -> None:
        section = services.config.checkpointer.ttl or ThreadTtlSection()
        super().__init__(services, section.sweep_interval_minutes * 60)
        self._limit = section.sweep_limit
        self._shards = PerShard(services.shards, partial(ThreadShardScripts, services.pipeline))
        self._scripts, self._checkpointer = ThreadScripts(services.pipeline, services.shards), services.checkpointer
        self._first = 0
        """The number of the shard with which the next round begins. So a shard in which many threads are due delays
        those of the others by one round at most."""

    async def run_once(self) -> tuple[int, int]:
        """Returns how many threads were deleted and how many were pruned."""
        remaining, deleted, pruned, count = self._limit, 0, 0, len(self._shards)
        first, self._first = self._first, (self._first + 1) % count
        for number in range(first, first + count):
            of_shard = await self._sweep(self._shards[number % count], remaining)
            deleted, pruned = deleted + of_shard.deleted, pruned + of_shard.pruned
            remaining -= of_shard.handled
            if remaining <= 0:
                break
        if deleted or pruned:
            log.info("retention.swept", deleted=deleted, pruned=pruned)
        return deleted, pruned

    async def _sweep(self, shard: ThreadShardScripts, limit: int) -> _Swept:
        """Handles up to `limit` due threads of one shard."""
        total = _Swept()
        while total.handled < limit:
            swept = await shard.sweep(min(limit - total.handled, _PAGE))
            if swept.with_crons:
                await self._scripts.delete_crons(swept.with_crons)
            for thread_id, incarnation in swept.to_prune:
                is_pruned = await self._checkpointer.prune_thread(thread_id, incarnation)
                total.pruned += is_pruned
                if is_pruned:
                    await shard.sweep(0, [(thread_id, incarnation)])
            total.deleted += len(swept.deleted)
            handled = len(swept.deleted) + len(swept.to_prune)
            total.handled += handled
            if handled + swept.busy < _PAGE or handled == 0:
                break
        return total


@dataclass(slots=True)
class _Swept:
    """What a round did in one shard."""

    deleted: int = 0
    pruned: int = 0
    handled: int = 0
