"""Reclaims the runs of processes that have sent no heartbeat for `lease_s` seconds: queues them again, or fails them if
all attempts are used up.

Interval: `reap_every_s`, but at most (`lease_s` - `heartbeat_s`) / 4; sooner if the next lease expires sooner.
Who: every worker; one script reclaims each run once.
Logs: `reaper.run_reclaimed` for each run.

After an outage of Redis, leases may have expired although their processes are alive. So this process reclaims nothing
while it has no connection, and for a grace period after it has connected again or a round has failed, in which live
processes can send a heartbeat. It lasts `lease_s` seconds. If the outage was too short for a lease to expire
(`leases.outage_after_s`), it lasts `leases.contact_within_s`, until all live processes have sent a heartbeat. The
script applies a grace period of its own to outages that it detects (`leases.grace_period_of`).

The supervisor does not wait for this duty: see `leases.reclaim_process`.
"""

from __future__ import annotations

import math
import time
from typing import Final

import structlog

from slipway.duties.duty import Duty
from slipway.runs.leases import RETRY_PAUSE_MS, contact_within_s, grace_period_of, outage_after_s
from slipway.runs.queue_reads import QueueReads
from slipway.services import Services

log = structlog.get_logger(__name__)

_MIN_PAUSE_S: Final = 0.01


class Reaper(Duty):
    """One round reclaims all leases that have expired."""

    name = "reaper"

    def __init__(self, services: Services) -> None:
        settings = services.settings
        super().__init__(min(settings.reap_every_s, outage_after_s(settings) / 2))
        self._pipeline, self._scripts = services.pipeline, services.scripts
        self._queue = QueueReads(services.pipeline, services.keys)
        self._settings, self._grace = settings, grace_period_of(settings)
        self._next_expiry_in_s = math.inf
        self._succeeded_at = -math.inf
        """When the last round succeeded (`time.monotonic`)."""

    async def may_run(self) -> bool:
        self._next_expiry_in_s = math.inf
        return not self.in_outage()

    def in_outage(self) -> bool:
        """Whether Redis is unavailable, or a grace period has not ended yet."""
        pipeline, now = self._pipeline, time.monotonic()
        if not pipeline.connected:
            return True
        outages = [now - pipeline.connected_for_s()] if pipeline.reconnected else []
        if self.failed_at is not None:
            outages.append(self.failed_at)
        ended_at = max(outages, default=-math.inf)
        return now < ended_at + self._grace_period_s(ended_at)

    def _grace_period_s(self, ended_at: float) -> float:
        """The grace period after an outage, which began at the earliest when the last round succeeded."""
        if ended_at - self._succeeded_at > outage_after_s(self._settings):
            return self._settings.lease_s
        return contact_within_s(self._settings)

    async def run_once(self) -> None:
        reclaimed = await self._scripts.run_reap(
            event_ttl_s=self._settings.event_ttl_s, pause_ms=RETRY_PAUSE_MS, grace=self._grace
        )
        for run in reclaimed:
            log.warning("reaper.run_reclaimed", run=run.run_id, attempt=run.attempt, outcome=run.outcome.value)
        self._next_expiry_in_s = await self._read_next_expiry_in_s()
        self._succeeded_at = time.monotonic()

    async def _read_next_expiry_in_s(self) -> float:
        """Seconds until the next lease expires, on the clock of Redis. Infinity if there is no lease."""
        return max(_MIN_PAUSE_S, await self._queue.next_lease_end_in_s())

    def next_round_in_s(self) -> float:
        return min(self.interval_s, self._next_expiry_in_s)
