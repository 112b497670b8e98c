"""A worker process: starts, claims and executes runs, and drains when asked to stop."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

import structlog

from slipway.execution.execution import Execution
from slipway.graphs.registry import Registry
from slipway.processes.child_commands import freeze_loaded_objects
from slipway.processes.readiness import report_ready
from slipway.redis.pipeline import Pipeline
from slipway.redis.preflight import patiently
from slipway.runs.attempt import Attempt
from slipway.runs.record import Run
from slipway.services import Services, open_services
from slipway.settings import Settings
from slipway_workers.claims import ClaimingWorker, ignore_reply
from slipway_workers.duties.deliveries import Deliveries
from slipway_workers.duties.reaper import Reaper
from slipway_workers.duties.reconciler import Reconciler
from slipway_workers.duties.retention import Retention, StoreSweeper
from slipway_workers.duties.scheduler import Scheduler
from slipway_workers.start_permission import StartPermission

log = structlog.get_logger(__name__)


Serving = Callable[[Services], AbstractAsyncContextManager[None]]
"""Lets the graphs of this process reach the API without a network, while the block is open."""


async def run(settings: Settings, serving: Serving) -> None:
    """Work until SIGTERM or SIGINT, then hand back what is not done within `drain_s`."""
    graphs = await Registry.load(settings.config)
    freeze_loaded_objects()
    async with open_services(settings, graphs, "worker") as services:
        wake = Pipeline(services.address, "slipway worker wake", patience_s=settings.redis_patience_web_s)
        try:
            await patiently(wake.open, services.clock)
            async with serving(services):
                await WorkerProcess(services, wake).work()
        finally:
            await wake.close()


class WorkerProcess:
    """The claims loop, the timed duties and the executions of one process."""

    def __init__(self, services: Services, wake: Pipeline) -> None:
        assert services.lease_renewer is not None
        self._services, self._lease_renewer, settings = services, services.lease_renewer, services.settings
        self._executions: dict[str, Execution] = {}
        self._stopping = asyncio.Event()
        self._claims = ClaimingWorker(
            self._run_attempt,
            services.keys,
            wake,
            self._lease_renewer.worker,
            lease_ms=int(settings.lease_s * 1000),
            max_runs=settings.max_runs_per_worker,
        )
        self._deliveries = Deliveries(services)
        self._start_permission = StartPermission(services)
        self._duties = (
            Reaper(services),
            Reconciler(services),
            Retention(services),
            Scheduler(services),
            StoreSweeper(services),
            self._deliveries,
        )

    async def work(self) -> None:
        """Until a signal. If a background loop dies, the process stops rather than limps."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stopping.set)
        claims = asyncio.create_task(self._claims.main(), name="claims")
        duties = [asyncio.create_task(duty.run(), name=type(duty).__name__) for duty in self._duties]
        stopping = asyncio.create_task(self._stopping.wait(), name="stop request")
        report_ready()
        log.info("worker.ready", worker=self._lease_renewer.worker, graphs=self._services.graphs.names())
        await asyncio.wait({claims, *duties, stopping}, return_when=asyncio.FIRST_COMPLETED)
        await self._drain(claims)
        for task in (claims, *duties, stopping):
            task.cancel()
        for task in (claims, *duties):
            with contextlib.suppress(asyncio.CancelledError):
                await task

    async def _drain(self, claims: asyncio.Task[None]) -> None:
        """No new claims; running graphs stop at their next superstep; at `drain_s` the rest stop where they are."""
        log.info("worker.draining", runs=len(self._executions))
        self._claims.stop_claiming()
        # wakes the claim that waits, if it is ours; another worker's only looks once more
        self._services.pipeline.send("RPUSH", self._services.keys.queue_wake, "1").add_done_callback(ignore_reply)
        for execution in list(self._executions.values()):
            execution.drain()
        await asyncio.wait({claims}, timeout=self._services.settings.drain_s)
        for execution in list(self._executions.values()):
            execution.stop_now()
        await asyncio.wait({claims}, timeout=2)
        log.info("worker.drained", runs_left=len(self._executions))

    async def _run_attempt(self, ctx: dict[str, Any], claimed: Run) -> None:
        attempt = Attempt(self._services.scripts, claimed)
        self._lease_renewer.add(attempt)
        try:
            if await self._start_permission.check(attempt):
                await self._execute(attempt)
        finally:
            self._lease_renewer.remove(attempt)
            if claimed.kwargs.get("webhook"):
                self._deliveries.nudge()

    async def _execute(self, attempt: Attempt) -> None:
        services, run_id = self._services, attempt.run.run_id
        execution = Execution(
            attempt,
            services.graphs,
            services.checkpointer,
            services.keys,
            event_ttl_s=services.settings.event_ttl_s,
            store=services.store,
            on_cleared=self._claims.suspects.remove,
        )
        self._executions[run_id] = execution
        if self._stopping.is_set():
            execution.drain()
        try:
            await execution.execute()
        finally:
            if self._executions.get(run_id) is execution:
                del self._executions[run_id]
