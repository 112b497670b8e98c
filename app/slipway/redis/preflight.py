"""Is Redis there? Asked before a process starts, so that a Redis that is away is a line and not a traceback."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final

import structlog

from slipway.clock import Clock
from slipway.errors import ConfigError, StoreUnavailable
from slipway.redis.connection import Address, UntrustedCertificate
from slipway.redis.pipeline import Pipeline

log = structlog.get_logger(__name__)

AGAIN_IN_S: Final = 2.0


async def wait_for_redis(url: str, clock: Clock | None = None, *, connections: int = 1) -> None:
    """Return once Redis at `url` takes commands on so many connections; says so every `AGAIN_IN_S` seconds while it
    does not. Raises as `problem_with`."""
    clock, told = clock or Clock(), False
    while (problem := await problem_with(url, connections)) is not None:
        log.warning("redis.away", problem=problem, again_in_s=AGAIN_IN_S)
        told = True
        await clock.sleep(AGAIN_IN_S)
    if told:
        log.info("redis.there", address=str(Address(url)))


async def problem_with(url: str, connections: int = 1) -> str | None:
    """Why Redis at `url` does not take commands on so many connections now, or None when it does. Raises
    `ConfigError` when it shows a certificate that the settings do not accept: waiting does not change that."""
    pipelines = [Pipeline(Address(url), "preflight", patience_s=AGAIN_IN_S) for _ in range(connections)]
    try:
        for pipeline in pipelines:
            await pipeline.open()
            await pipeline.send("PING", repeatable=True)
    except UntrustedCertificate as error:
        raise ConfigError(str(error)) from error
    except StoreUnavailable as error:
        return str(error)
    finally:
        for pipeline in pipelines:
            await pipeline.close()
    return None


async def patiently(opening: Callable[[], Awaitable[None]], clock: Clock) -> None:
    """Open something on a Redis that was there a moment ago; while it refuses, that is a line and another try."""
    while True:
        try:
            return await opening()
        except StoreUnavailable as error:
            log.warning("redis.away", problem=str(error), again_in_s=AGAIN_IN_S)
            await clock.sleep(AGAIN_IN_S)
