"""Keeps what others know of this worker's versions up to date, and the reasons of runs that wait for a version.

Interval: `reap_every_s`. One round registers the versions that this worker serves again, which changes nothing unless
another process has forgotten them, or an undeclared version has become the newest that is served. Then one worker
checks for each lane of every shard whether a live worker serves its version, and wakes such workers.
Who: every worker registers its versions; one worker at a time checks the lanes.
Logs: `versions.unserved` and `versions.served`, when the workers of a version that runs wait for have gone or come.
"""

from __future__ import annotations

import structlog

from slipway.duties.exclusive_duty import ExclusiveDuty
from slipway.services import Services

log = structlog.get_logger(__name__)


class Versions(ExclusiveDuty):
    """One round registers this worker's versions and checks all lanes."""

    name = "versions"

    def __init__(self, services: Services) -> None:
        super().__init__(services, services.settings.reap_every_s)
        self._registration, self._scripts = services.registration, services.versions

    async def may_run(self) -> bool:
        return True

    async def run_once(self) -> None:
        await self._registration.renew()
        if not await self.acquire():
            return
        for lane in await self._scripts.refresh_lanes():
            if lane.has_changed and lane.is_served:
                log.info("versions.served", lane=lane.name)
            elif lane.has_changed:
                log.warning("versions.unserved", lane=lane.name)
