"""Is Redis there? Asked before a process starts, so that a Redis that is away is a line and not a traceback."""

from __future__ import annotations

from typing import Final

import structlog

from app.clock import Clock
from app.errors import StoreUnavailable
from app.link import Address
from app.wire import Wire

log = structlog.get_logger(__name__)

AGAIN_IN_S: Final = 2.0


async def wait_for_redis(url: str, clock: Clock | None = None) -> None:
    """Return once Redis at `url` takes commands; says so every `AGAIN_IN_S` seconds while it does not."""
    clock, told = clock or Clock(), False
    while (problem := await problem_with(url)) is not None:
        log.warning("redis.away", problem=problem, again_in_s=AGAIN_IN_S)
        told = True
        await clock.sleep(AGAIN_IN_S)
    if told:
        log.info("redis.there", address=str(Address(url)))


async def problem_with(url: str) -> str | None:
    """Why Redis at `url` does not take commands now, or None when it does."""
    wire = Wire(Address(url), "preflight", patience_s=AGAIN_IN_S)
    try:
        await wire.open()
        await wire.send("PING", again=True)
    except StoreUnavailable as error:
        return str(error)
    finally:
        await wire.close()
    return None
