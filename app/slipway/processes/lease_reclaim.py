"""Reclaims the runs of a child process as soon as it has exited, before their leases expire."""

from __future__ import annotations

import structlog

from slipway.errors import StoreUnavailable
from slipway.processes.supervisor import ChildExit, OnExit
from slipway.runs.leases import reclaim_process
from slipway.settings import Settings

log = structlog.get_logger(__name__)


def lease_reclaimer(settings: Settings) -> OnExit:
    """A handler for exits of children. While Redis is unavailable, it only logs a warning, and the leases expire
    later."""

    async def reclaim(ended: ChildExit) -> None:
        try:
            runs = await reclaim_process(settings, ended.pid)
        except StoreUnavailable as error:
            log.warning("runs.not_reclaimed", child=ended.name, problem=str(error))
        else:
            log.info("runs.reclaimed", child=ended.name, runs=runs)

    return reclaim
