"""Repairs records that contradict each other, such as a thread that is busy without a run.

Interval: `reconcile_every_s`. One round checks `JOB_PAGES` pages of jobs and `PAGES` pages of threads and runs,
which takes Redis about half a second of CPU at most; the next round continues after them.
Who: one worker at a time.
Logs: each repair, which `slipway_repairs` counts as well (`slipway.health.doctor`).
"""

from __future__ import annotations

from typing import Final

from slipway.duties.exclusive_duty import ExclusiveDuty
from slipway.health.doctor import Doctor
from slipway.services import Services

PAGES: Final = 300
JOB_PAGES: Final = 100


class Reconciler(ExclusiveDuty):
    """One round checks the next pages and repairs the problems in them."""

    name = "reconciler"

    def __init__(self, services: Services) -> None:
        super().__init__(services, services.settings.reconcile_every_s)
        lease_ms = int(services.settings.lease_s * 1000)
        self._doctor = Doctor(services.pipeline, services.shards, lease_ms=lease_ms, repair=True)

    async def run_once(self) -> None:
        await self._doctor.check_next_pages(PAGES, JOB_PAGES)
