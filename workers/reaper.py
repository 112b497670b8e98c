"""Takes back the runs of workers that fell silent.

Any number of workers may look; the script decides. After an outage of Redis itself every lease looks expired, so the
reaper first gives the living one lease's time to report.
"""

from __future__ import annotations

import asyncio

import structlog

from app.errors import StoreUnavailable
from app.keyspace.scripts import Scripts
from app.leases import RETRY_PAUSE_MS
from app.settings import Settings
from app.wire import Wire

log = structlog.get_logger(__name__)


class Reaper:
    """Looks for expired leases every `reap_every_s`."""

    def __init__(self, wire: Wire, scripts: Scripts, settings: Settings) -> None:
        self._wire, self._scripts, self._settings = wire, scripts, settings

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            await asyncio.sleep(self._settings.reap_every_s)
            if self._wire.connected_for_s() < self._settings.lease_s and self._wire.reconnected:
                continue
            try:
                await self.look()
            except StoreUnavailable as error:
                log.warning("reaper.skipped", problem=str(error))

    async def look(self) -> None:
        """Take back what has expired now."""
        taken = await self._scripts.run_reap(event_ttl_s=self._settings.event_ttl_s, pause_ms=RETRY_PAUSE_MS)
        for run_id, attempt, outcome in taken:
            log.warning("reaper.took", run=run_id, attempt=attempt, outcome=outcome)
