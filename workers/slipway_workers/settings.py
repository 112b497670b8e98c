"""`arq slipway_workers.settings.WorkerSettings` is the same worker as `slipway worker`.

arq's command line creates a plain `arq.worker.Worker` from the members of `WorkerSettings`. This *outer worker* only
starts Slipway's worker process in a task and drains it, by arq's hooks. It takes no jobs and sends nothing to Redis: so
it needs no connection, and no outage ends it. Runs are claimed by `slipway_workers.claims.ClaimingWorker`.

`arq --check` reads what the claim loops of this host's workers record, also those that `slipway worker` started.

Importing this module reads and configures nothing. Asking it for `WorkerSettings` does.
"""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final, Self

import click
from arq.cli import cli as arq_command

from slipway import failpoints
from slipway.environment_variables import variable_of
from slipway.errors import ConfigError, StoreUnavailable
from slipway.processes.child_commands import name_process, watch_parent
from slipway.processes.exit_codes import exit_on_errors_to_fix
from slipway.processes.exit_in_time import exit_after
from slipway.processes.settings_and_logs import load_settings, load_settings_and_logs
from slipway.redis.keys import Keys
from slipway.redis.wait_for_redis import problem_with
from slipway.runs.worker_health import health_key
from slipway.settings import Settings
from slipway_workers.arq_redis_settings import arq_redis_settings

if TYPE_CHECKING:
    from slipway_workers.process import WorkerProcess

_POLL_DELAY_S: Final = 86_400
"""Seconds between two polls of the outer worker, which do nothing."""

_REJECTED_OPTIONS: Final = {
    "burst": "--burst is not supported: a worker also performs duties, such as crons, and works until it is stopped",
    "watch": "--watch is not supported: arq starts the worker again without loading changed code. Restart the command",
    "custom_log_dict": "--custom-log-dict is not supported: set SLIPWAY_LOG_LEVEL or SLIPWAY_LOG_FORMAT",
}
"""Options of arq's command line that have no sensible effect, by parameter."""


def __getattr__(name: str) -> type:
    """`WorkerSettings`, from the environment and langgraph.json. Under arq's command line, an error that a person must
    fix ends the process."""
    if name != "WorkerSettings":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    context = click.get_current_context(silent=True)
    if context is None or context.command is not arq_command:
        return _worker_settings(load_settings())
    with exit_on_errors_to_fix():
        return _worker_settings(_settings_of_command(context.params))


def _settings_of_command(options: Mapping[str, Any]) -> Settings:
    """Prepares this process for what arq's command line does next: a health check, or a worker."""
    if options["check"]:
        settings = load_settings()
        if problem := asyncio.run(problem_with(settings.redis)):
            raise StoreUnavailable(problem)
        return settings
    if rejected := [reason for option, reason in _REJECTED_OPTIONS.items() if options[option]]:
        raise ConfigError(rejected[0])
    name_process("slipway worker")
    watch_parent()
    failpoints.arm()
    settings = load_settings_and_logs("worker")
    if settings.worker_processes > 1:
        raise ConfigError(
            f"{variable_of('worker_processes')} ({settings.worker_processes}): arq starts one process. Leave it "
            "out and start arq several times, or use `slipway worker`, which starts them and restarts those that exit"
        )
    import uvloop

    asyncio.set_event_loop(uvloop.new_event_loop())  # arq takes the current one
    _ARQ_LOG.addFilter(_is_warning)
    return settings


def _worker_settings(settings: Settings) -> type:
    inner = _InnerWorker(settings)
    members = {
        "functions": [_never_executed],
        "redis_settings": arq_redis_settings(settings),
        "redis_pool": _UnusedPool(),
        "on_startup": inner.on_startup,
        "on_shutdown": inner.on_shutdown,
        "max_jobs": 0,
        "poll_delay": _POLL_DELAY_S,
        "health_check_key": health_key(Keys(settings.key_prefix)),
        "health_check_interval": math.inf,
    }
    return type("WorkerSettings", (), members)


async def _never_executed(ctx: dict[Any, Any]) -> None:
    """A worker of arq needs a function."""


_ARQ_LOG: Final = logging.getLogger("arq.worker")


def _is_warning(record: logging.LogRecord) -> bool:
    """Filters what the outer worker logs at its start: it would be logged twice, and is not true of Slipway."""
    return record.levelno >= logging.WARNING


class _InnerWorker:
    """Slipway's worker process, in a task of the event loop of arq's worker."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._task: asyncio.Task[None] | None = None
        self._process: WorkerProcess | None = None
        """The worker process since it has been ready. Before that, a stop only cancels its start."""

    async def on_startup(self, ctx: dict[Any, Any]) -> None:
        """Starts the worker process. When it ends, the outer worker ends."""
        if _is_warning in _ARQ_LOG.filters:
            _ARQ_LOG.removeFilter(_is_warning)
            logging.getLogger("arq").handlers.clear()
        from slipway_workers.start import work

        main = asyncio.current_task()
        assert main is not None
        self._task = asyncio.create_task(work(self._settings, self._on_ready), name="slipway worker")
        self._task.add_done_callback(lambda _: main.cancel())

    def _on_ready(self, process: WorkerProcess) -> None:
        from slipway_workers.start import drain_on_signals

        self._process = process
        drain_on_signals(process)  # in place of arq's handlers

    async def on_shutdown(self, ctx: dict[Any, Any]) -> None:
        """Drains the worker process, or ends its start. Raises the exception that ended it; if a person must fix its
        reason, ends this process."""
        if self._task is None:  # the outer worker was stopped before it had started
            return
        if self._process is None:
            self._task.cancel()
        else:
            self._process.request_stop()
        await asyncio.wait({self._task})
        await exit_after(self._outcome(self._task))

    @staticmethod
    async def _outcome(ended: asyncio.Task[None]) -> None:
        if not ended.cancelled():
            ended.result()


class _UnusedPool:
    """What arq's worker calls on its pool of connections when it takes no jobs: at its start it logs facts about the
    server."""

    def pipeline(self, *, transaction: bool) -> Self:
        return self

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        pass

    def info(self, *, section: str) -> None:
        pass

    def dbsize(self) -> None:
        pass

    async def execute(self) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any], int]:
        return {}, {}, {}, 0

    async def delete(self, *keys: str) -> None:
        pass

    async def close(self, *, close_connection_pool: bool) -> None:
        pass
