"""Removes threads whose time is over, or all of their checkpoints but the latest: now and then, one worker for all.
Items of the long-term store go the same way.

What is due stands in a zset by its time, so a sweep scans nothing. A busy thread is left for the next one.
"""

from __future__ import annotations

from typing import Final

import structlog

from slipway.duties import repeat
from slipway.graphs.sections import ThreadTtlSection
from slipway.health.scripts import HealthScripts
from slipway.services import Services
from slipway.threads.scripts import ThreadScripts

log = structlog.get_logger(__name__)

_DUTY: Final = "retention"
_KEPT_ROUNDS: Final = 2
_PAGE: Final = 100


class Retention:
    """Sweeps every `sweep_interval_minutes` of langgraph.json, if this worker is the one who does."""

    def __init__(self, services: Services) -> None:
        assert services.lease_renewer is not None
        section = services.config.checkpointer.ttl or ThreadTtlSection()
        self._worker, self._most = services.lease_renewer.worker, section.sweep_limit
        self._every_s = section.sweep_interval_minutes * 60
        self._duties = HealthScripts(services.pipeline, services.keys)
        self._scripts, self._checkpointer = ThreadScripts(services.pipeline, services.keys), services.checkpointer

    async def run(self) -> None:
        """Until cancelled."""
        await repeat(_DUTY, self._every_s, self.look)

    async def look(self) -> tuple[int, int]:
        """One sweep: how many threads were deleted and how many shrunk; none when another worker has the duty."""
        if not await self._duties.take_duty(_DUTY, self._worker, int(_KEPT_ROUNDS * self._every_s * 1000)):
            return 0, 0
        left, deleted, shrunk = self._most, 0, 0
        while left > 0:
            swept = await self._scripts.sweep(min(left, _PAGE))
            for thread_id, incarnation in swept.shrink:
                done = await self._checkpointer.shrink(thread_id, incarnation)
                shrunk += done
                if done:
                    await self._scripts.sweep(0, [(thread_id, incarnation)])
            deleted += len(swept.deleted)
            found = len(swept.deleted) + len(swept.shrink)
            if found + swept.busy < _PAGE or found == 0:
                break
            left -= found
        if deleted or shrunk:
            log.info("retention.swept", deleted=deleted, shrunk=shrunk)
        return deleted, shrunk


class StoreSweeper:
    """Removes items of the long-term store whose time is over, every `store.ttl.sweep_interval_minutes`. Nobody sees
    them any more by then; this gives their memory back. All workers may sweep at once."""

    def __init__(self, services: Services) -> None:
        self._store, self._every_s = services.store, services.config.store.ttl.sweep_interval_minutes * 60

    async def run(self) -> None:
        """Until cancelled."""
        await repeat("store sweep", self._every_s, self.look)

    async def look(self) -> None:
        """One sweep."""
        if swept := await self._store.sweep():
            log.info("store.swept", items=swept)
