"""Waits for Redis before a process starts, so that an unavailable Redis is a log line instead of a traceback."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final

import hiredis
import structlog

from slipway.clock import Clock
from slipway.errors import ConfigError, StoreUnavailable
from slipway.redis.connect import pipeline_to
from slipway.redis.connection import Address, UntrustedCertificate
from slipway.redis.pipeline import Pipeline
from slipway.redis.server_pipeline import cluster_by_setting

log = structlog.get_logger(__name__)

RETRY_PAUSE_S: Final = 2.0


async def wait_for_redis(url: str, clock: Clock | None = None, *, connections: int = 1) -> None:
    """Returns when Redis at `url` accepts commands on this number of connections. Logs the problem every
    `RETRY_PAUSE_S` seconds. Raises like `problem_with`."""
    clock, logged = clock or Clock(), False
    while (problem := await problem_with(url, connections)) is not None:
        log.warning("redis.unavailable", problem=problem, retry_in_s=RETRY_PAUSE_S)
        logged = True
        await clock.sleep(RETRY_PAUSE_S)
    if logged:
        log.info("redis.available", address=str(Address(url)))


async def problem_with(url: str, connections: int = 1) -> str | None:
    """Why Redis at `url` does not accept commands on this number of connections now; None if it does. Raises
    `ConfigError` if its certificate is not accepted, if only one of the server and the settings is a cluster, or if a
    cluster has too few nodes, because waiting does not change that."""
    address = Address(url)
    pipelines = [pipeline_to(address, "wait for redis", patience_s=RETRY_PAUSE_S) for _ in range(connections)]
    try:
        for pipeline in pipelines:
            await pipeline.open()
            await pipeline.send("PING", repeatable=True)
        if not address.is_cluster and await _is_in_cluster(pipelines[0]):
            raise ConfigError(cluster_by_setting(address))
    except UntrustedCertificate as error:
        raise ConfigError(str(error)) from error
    except StoreUnavailable as error:
        return str(error)
    finally:
        for pipeline in pipelines:
            await pipeline.close()
    return None


async def _is_in_cluster(pipeline: Pipeline) -> bool:
    """Whether the server is one of a cluster. False if this user is not authorized to ask."""
    try:
        return b"cluster_enabled:1" in await pipeline.send("INFO", "cluster", repeatable=True)
    except hiredis.ReplyError:
        return False


async def open_with_retries(opening: Callable[[], Awaitable[None]], clock: Clock) -> None:
    """Calls `opening` until it succeeds, with a log line and a pause after each `StoreUnavailable`."""
    while True:
        try:
            return await opening()
        except StoreUnavailable as error:
            log.warning("redis.unavailable", problem=str(error), retry_in_s=RETRY_PAUSE_S)
            await clock.sleep(RETRY_PAUSE_S)
