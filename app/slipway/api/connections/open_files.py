"""How many files the system lets this process open: each connection is one."""

from __future__ import annotations

import resource
from contextlib import suppress
from typing import Final

import structlog

log = structlog.get_logger(__name__)

_FOR_OTHERS: Final = 128
"""Open files beside the connections of clients: those of Redis, the event loop, the project's code."""


def allow_connections(count: int) -> None:
    """Raises the limit of open files so that `count` connections fit. Logs a warning if the system does not permit
    it: then connections above its limit wait until others are closed."""
    needed = count + _FOR_OTHERS
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or soft >= needed:
        return
    most = needed if hard == resource.RLIM_INFINITY else min(needed, hard)
    with suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
    if most < needed:
        log.warning("web.open_files_limited", limit=most, needed=needed, max_connections=count)
