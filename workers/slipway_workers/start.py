"""The start of a worker process, the same for every command that starts one.

Importing this module is cheap. LangGraph and the project are imported when Redis accepts commands and its data match
the settings.
"""

from __future__ import annotations

import asyncio
import signal
from typing import TYPE_CHECKING

from slipway.health import start_checks
from slipway.redis.connection_budget import needed
from slipway.redis.wait_for_redis import wait_for_redis
from slipway.settings import Settings

if TYPE_CHECKING:
    from slipway_workers.process import OnReady, WorkerProcess


async def work(settings: Settings, on_ready: OnReady) -> None:
    """Starts a worker process and works until it has drained. `on_ready` is called when it is ready. Raises
    `ConfigError` and `StoreUnavailable`."""
    await wait_for_redis(settings.redis, connections=needed("worker"))
    await start_checks.check(settings, settings.redis)
    from slipway.api.in_process_server import serve_in_process
    from slipway_workers.process import run

    await run(settings, serve_in_process, on_ready)


def drain_on_signals(process: WorkerProcess) -> None:
    """Makes SIGTERM and SIGINT drain the process."""
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, process.request_stop)
