"""Reclaims the runs of processes that have sent no heartbeat for `lease_s` seconds: queues them again, or fails them if
all attempts are used up.

Interval: `reap_every_s`, but at most (`lease_s` - `heartbeat_s`) / 4; sooner if the next lease expires sooner.
Who: every worker; one script reclaims each run once.
Logs: `reaper.run_reclaimed` for each run.

After an outage of Redis, leases may have expired although their processes are alive. So this process reclaims nothing
for a grace period after it has connected again or a round has failed, in which live processes can send a heartbeat. It
lasts `lease_s` seconds. If the outage was too short for a lease to expire (`leases.outage_after_s`), it lasts
`leases.contact_within_s`, until all live processes have sent a heartbeat. The rounds in this time reclaim nothing, but
show when Redis is available. The script applies a grace period of its own to outages that it detects
(`leases.grace_period_of`).

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
        self._next_round_in_s = self.interval_s
        self._contact_at = time.monotonic()
        """When the last round succeeded, or this process connected first (`time.monotonic`)."""
        self._grace_until = -math.inf

    async def may_run(self) -> bool:
        return self._pipeline.connected

    def grace_period_s(self) -> float:
        """Seconds until runs may be reclaimed. 0 without a grace period."""
        pipeline, now = self._pipeline, time.monotonic()
        outages = [now - pipeline.connected_for_s()] if pipeline.reconnected else []
        if self.failed_at is not None:
            outages.append(self.failed_at)
        ended_at = max(outages, default=-math.inf)
        if ended_at > self._contact_at:
            was_short = ended_at - self._contact_at <= outage_after_s(self._settings)
            lasts_s = contact_within_s(self._settings) if was_short else self._settings.lease_s
            self._grace_until = max(self._grace_until, ended_at + lasts_s)
        return max(0.0, self._grace_until - now)

    async def run_once(self) -> None:
        grace_s = self.grace_period_s()
        reclaimed = await self._scripts.run_reap(
            event_ttl_s=self._settings.event_ttl_s,
            pause_ms=RETRY_PAUSE_MS,
            grace={**self._grace, "waits": grace_s > 0},
        )
        self._contact_at = time.monotonic()
        for run in reclaimed:
            log.warning("reaper.run_reclaimed", run=run.run_id, attempt=run.attempt, outcome=run.outcome.value)
        expires_in_s = await self._queue.next_lease_end_in_s()
        # a lease that has expired and was not reclaimed is one of a grace period
        soonest_s = grace_s if grace_s > 0 else math.inf if expires_in_s <= 0 and not reclaimed else expires_in_s
        self._next_round_in_s = min(self.interval_s, max(_MIN_PAUSE_S, soonest_s))

    def next_round_in_s(self) -> float:
        return self._next_round_in_s
