"""Deletes threads whose time to live has ended, or all of their checkpoints except the latest: the thread's strategy
decides. Busy threads are skipped and remain due.

Interval: `checkpointer.ttl.sweep_interval_minutes` of langgraph.json. One round handles at most `sweep_limit` threads.
Who: one worker at a time.
Logs: `retention.swept` with the number of deleted and pruned threads, if there were any.

Threads are in one sorted set, ordered by the time when they are due, so a round reads only those that are due.
"""

from __future__ import annotations

from typing import Final

import structlog

from slipway.duties.exclusive_duty import ExclusiveDuty
from slipway.graphs.official_sections import ThreadTtlSection
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
        self._sweeps = ThreadShardScripts(services.pipeline, services.keys)
        self._scripts, self._checkpointer = ThreadScripts(services.pipeline, services.shards), services.checkpointer

    async def run_once(self) -> tuple[int, int]:
        """Returns how many threads were deleted and how many were pruned."""
        remaining, deleted, pruned = self._limit, 0, 0
        while remaining > 0:
            swept = await self._sweeps.sweep(min(remaining, _PAGE))
            if swept.with_crons:
                await self._scripts.delete_crons(swept.with_crons)
            for thread_id, incarnation in swept.to_prune:
                is_pruned = await self._checkpointer.prune_thread(thread_id, incarnation)
                pruned += is_pruned
                if is_pruned:
                    await self._sweeps.sweep(0, [(thread_id, incarnation)])
            deleted += len(swept.deleted)
            handled = len(swept.deleted) + len(swept.to_prune)
            if handled + swept.busy < _PAGE or handled == 0:
                break
            remaining -= handled
        if deleted or pruned:
            log.info("retention.swept", deleted=deleted, pruned=pruned)
        return deleted, pruned
