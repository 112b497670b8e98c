"""Takes back the runs of workers that fell silent, and removes the checkpoints of threads that are gone.

Any number of workers may look; the script decides. After an outage of Redis itself every lease looks expired, so the
reaper first gives the living one lease's time to report.
"""

from __future__ import annotations

import asyncio
import time
from typing import Final

import structlog

from slipway.duties import looked
from slipway.runs.leases import RETRY_PAUSE_MS, grace_period_of, outage_after_s
from slipway.services import Services

log = structlog.get_logger(__name__)

_SOONEST_S: Final = 0.01


class Reaper:
    """Looks for expired leases every `reap_every_s`, and in the moment when the next one ends if that is sooner."""

    def __init__(self, services: Services) -> None:
        self._pipeline, self._scripts, self._settings = services.pipeline, services.scripts, services.settings
        self._keys, self._trash = services.keys, services.trash
        self._not_before = self._next_end_s = 0.0

    async def run(self) -> None:
        """Until cancelled."""
        longest_s = pause_s = min(self._settings.reap_every_s, outage_after_s(self._settings) / 2)
        while True:
            await asyncio.sleep(pause_s)
            pause_s = longest_s
            if self._too_early():
                continue
            if await looked("reaper", self._round):
                pause_s = min(longest_s, self._next_end_s)
            else:
                self._not_before = time.monotonic() + self._settings.lease_s
            await looked("trash", self._trash.empty)

    async def _round(self) -> None:
        await self.look()
        self._next_end_s = await self._until_next_end_s()

    def _too_early(self) -> bool:
        """Whether Redis is away or was refusing writes less than a lease ago, so that the living could not report."""
        pipeline = self._pipeline
        young = pipeline.reconnected and pipeline.connected_for_s() < self._settings.lease_s
        return not pipeline.connected or young or time.monotonic() < self._not_before

    async def look(self) -> None:
        """Take back what has expired now."""
        settings = self._settings
        taken = await self._scripts.run_reap(
            event_ttl_s=settings.event_ttl_s, pause_ms=RETRY_PAUSE_MS, grace=grace_period_of(settings)
        )
        for run_id, attempt, outcome in taken:
            log.warning("reaper.took", run=run_id, attempt=attempt, outcome=outcome)

    async def _until_next_end_s(self) -> float:
        """Seconds until the next lease ends, on the server's clock."""
        first = self._pipeline.send("ZRANGE", self._keys.leases, 0, 0, "WITHSCORES", repeatable=True)
        seconds, microseconds = await self._pipeline.send("TIME", repeatable=True)
        if not (held := await first):
            return float("inf")
        return max(_SOONEST_S, float(held[1]) / 1000 - int(seconds) - int(microseconds) / 1_000_000)
