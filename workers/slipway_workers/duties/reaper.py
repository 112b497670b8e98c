"""Reclaims the runs of processes that have sent no heartbeat for `lease_s` seconds: queues them again, or fails them if
all attempts are used up.

Interval: `reap_every_s`, but at most (`lease_s` - `heartbeat_s`) / 4; sooner if the next lease expires sooner.
Who: every worker, so that runs are reclaimed at once when their leases end; one worker at a time if there are several
shards, so that idle workers send nothing. One script in each shard reclaims each run once.
Logs: `reaper.run_reclaimed` for each run, and `run.stranded` for one that is paused because its attempts are used up.

After an outage of Redis, leases may have expired although their processes are alive. So after this process has
connected again, or a round has failed, it waits until all live processes have sent a heartbeat: for
`leases.CONTACT_WITHIN_S` seconds, or for `lease_s` seconds after an outage in which leases may have expired
(`leases.outage_after_s`). In this grace period it reclaims nothing; its rounds only show when Redis is available.

There is no grace period if all leases of live processes outlast it (`leases.certain_for_s`), counted from the last time
when all of them had contact. Outages that follow each other so soon that a process may not have sent a heartbeat in
between count as one.

A shard that is unavailable while others are not gets a grace period of `lease_s` seconds of its own.

The script applies a grace period of its own to outages that it detects (`leases.grace_period_of`).

The supervisor does not wait for this duty: see `leases.reclaim_process`.
"""

from __future__ import annotations

import math
import time
from typing import Final

import structlog

from slipway.duties.exclusive_duty import ExclusiveDuty
from slipway.errors import StoreUnavailable
from slipway.runs.leases import (
    CONTACT_WITHIN_S,
    certain_for_s,
    grace_period_of,
    outage_after_s,
    reap,
)
from slipway.runs.queue_scripts import Grace, Reaped
from slipway.runs.script_results import ReclaimOutcome
from slipway.services import Services

log = structlog.get_logger(__name__)

_MIN_PAUSE_S: Final = 0.01


class Reaper(ExclusiveDuty):
    """One round reclaims all leases that have expired."""

    name = "reaper"

    def __init__(self, services: Services) -> None:
        settings = services.settings
        super().__init__(services, min(settings.reap_every_s, outage_after_s(settings) / 2))
        self._pipeline, self._queues = services.pipeline, services.queues
        self._late_export = services.late_export
        self._settings, self._grace = settings, grace_period_of(settings)
        self._next_round_in_s = self.interval_s
        self._waits_until: dict[int, float] = {}
        """Until when nothing is reclaimed in a shard that was unavailable while others were not (`time.monotonic`)."""
        self._contact_at = time.monotonic()
        """When the last round succeeded, or this process connected first (`time.monotonic`)."""
        self._all_had_contact_at = self._contact_at
        """The last time when all live processes had sent a heartbeat since the last outage."""
        self._all_have_contact_from = -math.inf
        """When all live processes have sent a heartbeat since the last outage."""

    async def may_run(self) -> bool:
        return self._pipeline.connected and (len(self._queues) == 1 or await self.acquire())

    def grace_period_s(self) -> float:
        """Seconds until runs may be reclaimed. 0 without a grace period."""
        pipeline, now = self._pipeline, time.monotonic()
        outages = [now - pipeline.connected_for_s()] if pipeline.reconnected else []
        if self.failed_at is not None:
            outages.append(self.failed_at)
        ended_at = max(outages, default=-math.inf)
        if ended_at > self._contact_at:
            was_long = ended_at - self._contact_at > outage_after_s(self._settings)
            contact_at = ended_at + (self._settings.lease_s if was_long else CONTACT_WITHIN_S)
            self._all_have_contact_from = max(self._all_have_contact_from, contact_at)
        if self._all_have_contact_from <= self._all_had_contact_at + certain_for_s(self._settings):
            return 0.0
        return max(0.0, self._all_have_contact_from - now)

    async def run_once(self) -> None:
        grace_s = self.grace_period_s()
        results = await reap(self._queues, self._settings, grace_of=lambda shard: self._grace_of(shard, grace_s))
        for shard, result in results.items():
            if isinstance(result, StoreUnavailable):
                log.warning("duty.skipped", duty=self.name, problem=str(result))
                self._waits_until[shard] = time.monotonic() + self._settings.lease_s
        reaped = [result for result in results.values() if isinstance(result, Reaped)]
        reclaimed = [run for each in reaped for run in each.runs]
        self._contact_at = time.monotonic()
        if self._contact_at >= self._all_have_contact_from:
            self._all_had_contact_at = self._contact_at
        for run in reclaimed:
            fields = {**run.run.log_fields(), "attempt": run.attempt}
            log.warning("reaper.run_reclaimed", outcome=run.outcome.value, **fields)
            if run.outcome is ReclaimOutcome.FAILED and self._late_export is not None:
                self._late_export.run_reclaimed(run.run_id, run.attempt)
            if run.outcome is ReclaimOutcome.PAUSED:
                log.warning("run.stranded", waits_for="exhausted", reason="its attempts are used up", **fields)
        expires_in_s = min(each.next_lease_end_in_s for each in reaped)
        # a lease that has expired and was not reclaimed is one of a grace period
        soonest_s = grace_s if grace_s > 0 else math.inf if expires_in_s <= 0 and not reclaimed else expires_in_s
        self._next_round_in_s = min(self.interval_s, max(_MIN_PAUSE_S, soonest_s))

    def _grace_of(self, shard: int, grace_s: float) -> Grace:
        waits = grace_s > 0 or time.monotonic() < self._waits_until.get(shard, 0.0)
        return {**self._grace, "waits": waits}

    def next_round_in_s(self) -> float:
        return self._next_round_in_s
