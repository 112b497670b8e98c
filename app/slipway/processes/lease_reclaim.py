"""Reclaims the runs of a child process as soon as it has exited, before their leases expire."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable

import structlog

from slipway.errors import StoreUnavailable
from slipway.processes.child_commands import name_process
from slipway.processes.forking import Fork, Forker
from slipway.processes.supervisor import ChildExit, OnExit
from slipway.runs.leases import reclaim_process
from slipway.settings import Settings

log = structlog.get_logger(__name__)

_PROCESS_NAME = "slipway reclaim"


def lease_reclaimer(settings: Settings, forker: Forker | None = None) -> OnExit:
    """A handler for exits of children. While Redis is unavailable, it only logs a warning, and the leases expire later.
    With a `forker`, it uses Redis in a forked process, so that this process needs no thread to resolve the host."""

    async def reclaim(ended: ChildExit) -> None:
        process = None
        if forker is not None:
            process = await forker.fork(Fork(_main(settings, ended), _PROCESS_NAME, os.environ.copy()))
        await (_reclaim(settings, ended) if process is None else process.wait())

    return reclaim


def _main(settings: Settings, ended: ChildExit) -> Callable[[], None]:
    def main() -> None:
        name_process(_PROCESS_NAME)
        asyncio.run(_reclaim(settings, ended))

    return main


async def _reclaim(settings: Settings, ended: ChildExit) -> None:
    try:
        runs = await reclaim_process(settings, ended.pid)
    except StoreUnavailable as error:
        log.warning("runs.not_reclaimed", child=ended.name, problem=str(error))
    else:
        log.info("runs.reclaimed", child=ended.name, run_ids=runs)
