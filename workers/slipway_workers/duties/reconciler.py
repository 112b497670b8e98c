"""Mends what got stuck, now and then: one worker does it for all, elected by a key that it keeps alive."""

from __future__ import annotations

from typing import Final

import structlog

from slipway.duties import repeat
from slipway.health.doctor import Doctor
from slipway.health.scripts import HealthScripts
from slipway.services import Services

log = structlog.get_logger(__name__)

PAGES: Final = 300
"""Pages of threads and runs that one round looks at."""

_DUTY: Final = "reconcile"
_KEPT_ROUNDS: Final = 2


class Reconciler:
    """Looks every `reconcile_every_s`, if this worker is the one who does. Each repair is a line in the log and counts
    in `slipway_repairs`."""

    def __init__(self, services: Services) -> None:
        assert services.lease_renewer is not None
        settings = services.settings
        self._worker, self._every_s = services.lease_renewer.worker, settings.reconcile_every_s
        self._scripts = HealthScripts(services.pipeline, services.keys)
        self._doctor = Doctor(services.pipeline, services.keys, lease_ms=int(settings.lease_s * 1000), repair=True)

    async def run(self) -> None:
        """Until cancelled."""
        await repeat(_DUTY, self._every_s, self.look)

    async def look(self) -> bool:
        """One round. False when another worker has the duty."""
        kept_ms = int(_KEPT_ROUNDS * self._every_s * 1000)
        if not await self._scripts.take_duty(_DUTY, self._worker, kept_ms):
            return False
        await self._doctor.round(PAGES)
        return True
