"""A worker process: claims runs, executes them, performs duties, and drains when it is to stop."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Any, Final

import structlog

from slipway.duties.duty import Duty
from slipway.graphs.registry import Registry
from slipway.processes.child_commands import freeze_loaded_objects
from slipway.processes.readiness import report_ready
from slipway.redis.pipeline import Pipeline
from slipway.redis.wait_for_redis import open_with_retries
from slipway.runs.record import Run
from slipway.runs.worker_wake import WorkerWake
from slipway.services import Services, open_services
from slipway.settings import Settings
from slipway_workers.claims import ClaimingWorker, ignore_reply
from slipway_workers.duties.deliveries import Deliveries
from slipway_workers.duties.layout_watch import LayoutWatch
from slipway_workers.duties.reaper import Reaper
from slipway_workers.duties.reconciler import Reconciler
from slipway_workers.duties.retention import Retention
from slipway_workers.duties.scheduler import Scheduler
from slipway_workers.duties.store_sweeper import StoreSweeper
from slipway_workers.duties.trash import TrashCollector
from slipway_workers.start_authorization import StartAuthorization

log = structlog.get_logger(__name__)

DUTIES: Final[tuple[Callable[[Services], Duty], ...]] = (
    Reaper,  # reclaims the runs of workers that died
    TrashCollector,  # deletes the checkpoints of deleted threads
    Reconciler,  # repairs records that contradict each other
    Retention,  # deletes or prunes threads whose time to live has ended
    Scheduler,  # creates the runs of crons
    StoreSweeper,  # deletes store items whose time to live has ended
    Deliveries,  # calls webhooks
    LayoutWatch,  # ends this worker when a later release has raised the layout of the data
)

_STOP_TIMEOUT_S: Final = 2.0
"""Seconds within which executions must release their runs after they were stopped within a superstep."""

ServeInProcess = Callable[[Services], AbstractAsyncContextManager[None]]
"""A context in which the graphs of this process can send requests to the API without a network."""


async def run(settings: Settings, serve_in_process: ServeInProcess) -> None:
    """Works until SIGTERM or SIGINT, then drains."""
    graphs = await Registry.load(settings.config)
    freeze_loaded_objects()
    async with open_services(settings, graphs, "worker") as services:
        wake = Pipeline(services.address, "slipway worker wake", patience_s=settings.redis_patience_web_s)
        try:
            await open_with_retries(wake.open, services.clock)
            async with serve_in_process(services):
                await WorkerProcess(services, wake).work()
        finally:
            await wake.close()


class WorkerProcess:
    """The claim loop, the duties and the executions of one process. `wake` is a separate connection for claims."""

    def __init__(self, services: Services, wake: Pipeline) -> None:
        assert services.executions is not None
        assert services.lease_renewer is not None
        self.services, settings = services, services.settings
        self.executions, self._worker_id = services.executions, services.lease_renewer.worker
        self._stop_requested = asyncio.Event()
        self.claims = ClaimingWorker(
            self.run_attempt,
            services.keys,
            wake,
            self._worker_id,
            lease_ms=int(settings.lease_s * 1000),
            max_runs=settings.max_runs_per_worker,
        )
        self._start_authorization = StartAuthorization(services)
        self._duties = {kind: kind(services) for kind in DUTIES}

    def request_stop(self) -> None:
        """Makes `work` drain and return, like a signal."""
        self._stop_requested.set()

    async def work(self) -> None:
        """Works until a signal arrives or a background task ends, then drains and returns. Of the background tasks,
        only `LayoutWatch` may end; if another one ends, that is a bug."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.request_stop)
        claims = asyncio.create_task(self.claims.main(), name="claims")
        duties = [asyncio.create_task(duty.run(), name=duty.name) for duty in self._duties.values()]
        stop_requested = asyncio.create_task(self._stop_requested.wait(), name="stop request")
        report_ready()
        log.info("worker.ready", worker=self._worker_id, graphs=self.services.graphs.names())
        await asyncio.wait({claims, *duties, stop_requested}, return_when=asyncio.FIRST_COMPLETED)
        await self._drain(claims)
        for task in (claims, *duties, stop_requested):
            task.cancel()
        for task in (claims, *duties):
            with contextlib.suppress(asyncio.CancelledError):
                await task

    async def _drain(self, claims: asyncio.Task[None]) -> None:
        """Claims nothing more and stops each graph at its next superstep. After `drain_s` the remaining graphs are
        stopped within their superstep, and have `_STOP_TIMEOUT_S` to release their runs."""
        log.info("worker.draining", runs=len(self.executions.current))
        self.claims.stop_claiming()
        # ends the blocking pop of this worker; if another worker pops the token, it tries to claim and gets nothing
        WorkerWake(self.services.pipeline, self.services.keys).wake_worker().add_done_callback(ignore_reply)
        self.executions.drain()
        await asyncio.wait({claims}, timeout=self.services.settings.drain_s)
        self.executions.stop_now()
        await asyncio.wait({claims}, timeout=_STOP_TIMEOUT_S)
        log.info("worker.drained", runs_left=len(self.executions.current))

    async def run_attempt(self, ctx: dict[str, Any], run: Run) -> None:
        """Executes a run that was just claimed. If the worker is draining already, the run is released at once."""
        execution = self.executions.open(run, on_cleared=self.claims.suspects.remove)
        try:
            if await self._start_authorization.check(execution.writer):
                await execution.execute()
        finally:
            self.executions.close(execution)
            if run.options.webhook:
                self._duties[Deliveries].run_soon()
