"""What a supervisor does about the runs of a process that it saw die: they are free at once, not after their lease."""

from __future__ import annotations

import structlog

from slipway.errors import StoreUnavailable
from slipway.processes.supervisor import ChildExit, OnExit
from slipway.runs.leases import reclaim_process
from slipway.settings import Settings

log = structlog.get_logger(__name__)


def lease_reclaimer(settings: Settings) -> OnExit:
    """Told of a death, gives the dead process's runs back. While Redis is away their leases have to run out."""

    async def reclaim(death: ChildExit) -> None:
        try:
            runs = await reclaim_process(settings, death.pid)
        except StoreUnavailable as error:
            log.warning("runs.not_reclaimed", child=death.name, problem=str(error))
        else:
            log.info("runs.reclaimed", child=death.name, runs=runs)

    return reclaim
