"""Queues the runs that paused at switches which are on again, if the process that switched them on has died before all
were queued; and the runs that are held, after code was served that was not known before, or a rollout has changed.

Interval: `reap_every_s`.
Who: one worker at a time for the switches; every worker that knows a reason to try the runs that are held. One script
queues each run once.
Logs: `paused_runs.resumed`, with how many runs.
"""

from __future__ import annotations

import structlog

from slipway.duties.exclusive_duty import ExclusiveDuty
from slipway.services import Services

log = structlog.get_logger(__name__)


class PausedRuns(ExclusiveDuty):
    """One round queues all of these runs."""

    name = "paused_runs"

    def __init__(self, services: Services) -> None:
        super().__init__(services, services.settings.reap_every_s)
        self._switches, self._held = services.switches, services.held_runs

    async def may_run(self) -> bool:
        return True

    async def run_once(self) -> None:
        count = await self._held.try_again()
        if await self.acquire():
            count += await self._switches.resume_runs()
        if count:
            log.info("paused_runs.resumed", runs=count)
