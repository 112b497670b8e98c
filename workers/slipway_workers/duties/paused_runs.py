"""Queues the runs that paused at switches which are on again, if the process that switched them on has died before all
were queued; and the runs that are held, after code was served that was not known before, or a rollout has changed.

Interval: `reap_every_s`.
Who: every worker; one script queues each run once.
Logs: `paused_runs.resumed`, with how many runs.
"""

from __future__ import annotations

import structlog

from slipway.duties.duty import Duty
from slipway.services import Services

log = structlog.get_logger(__name__)


class PausedRuns(Duty):
    """One round queues all of these runs."""

    name = "paused_runs"

    def __init__(self, services: Services) -> None:
        super().__init__(services.settings.reap_every_s)
        self._switches, self._held = services.switches, services.held_runs

    async def run_once(self) -> None:
        if count := await self._switches.resume_runs() + await self._held.try_again():
            log.info("paused_runs.resumed", runs=count)
