"""A worker process: claims runs, executes them, performs duties, and drains when it is to stop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Any, Final

import structlog

from slipway.duties.duty import Duty
from slipway.graphs.registry import Registry
from slipway.health.write_commands import report_arq_fault
from slipway.processes.garbage_collection import freeze_loaded_objects
from slipway.processes.readiness import report_ready
from slipway.redis.connect import pipeline_to
from slipway.redis.pipeline import Pipeline
from slipway.redis.wait_for_redis import open_with_retries
from slipway.runs.record import Run
from slipway.runs.worker_health import WorkerHealth
from slipway.services import Services, open_services
from slipway.settings import Settings
from slipway.stop_times import RELEASE_WITHIN_S
from slipway_workers.arq_jobs import ArqJobs
from slipway_workers.background import Background
from slipway_workers.claims import ClaimingWorker
from slipway_workers.duties.budget_events import BudgetEvents
from slipway_workers.duties.deliveries import Deliveries
from slipway_workers.duties.group_slots import GroupSlots
from slipway_workers.duties.hook_deliveries import HookDeliveries
from slipway_workers.duties.layout_watch import LayoutWatch
from slipway_workers.duties.paused_runs import PausedRuns
from slipway_workers.duties.queue_watch import QueueWatch
from slipway_workers.duties.reaper import Reaper
from slipway_workers.duties.reconciler import Reconciler
from slipway_workers.duties.retention import Retention
from slipway_workers.duties.reviews import Reviews
from slipway_workers.duties.rollouts import Rollouts
from slipway_workers.duties.scheduler import Scheduler
from slipway_workers.duties.shared_records import SharedRecords
from slipway_workers.duties.store_sweeper import StoreSweeper
from slipway_workers.duties.traces import Traces
from slipway_workers.duties.trash import TrashCollector
from slipway_workers.duties.versions import Versions
from slipway_workers.start_authorization import StartAuthorization

log = structlog.get_logger(__name__)

DUTIES: Final[tuple[Callable[[Services], Duty], ...]] = (
    Reaper,  # reclaims the runs of workers that died
    QueueWatch,  # wakes a worker for due jobs that nobody claims
    PausedRuns,  # queues the runs that paused at switches which are on again
    TrashCollector,  # deletes the checkpoints of deleted threads
    Reconciler,  # repairs records that contradict each other
    Retention,  # deletes or prunes threads whose time to live has ended
    Scheduler,  # creates the runs of crons
    Traces,  # deletes the spans of runs whose time has passed, or of the oldest ones
    StoreSweeper,  # deletes store items whose time to live has ended
    Deliveries,  # calls webhooks
    GroupSlots,  # continues exchanges of slots of concurrency groups between shards
    BudgetEvents,  # tells webhook endpoints of budgets, if another process did not
    HookDeliveries,  # finishes deliveries to hooks whose web process has died
    Versions,  # says which versions this worker serves, and which lanes have a live worker
    Reviews,  # does what reviews are to do at a time, and resumes runs whose questions have answers
    SharedRecords,  # copies switches, rollouts, versions and endpoints to the shards that lack changes
    Rollouts,  # rolls versions back whose runs end worse than those of the current version
    LayoutWatch,  # ends this worker when a later release has raised the layout of the data
)

ServeInProcess = Callable[[Services], AbstractAsyncContextManager[None]]
"""A context in which the graphs of this process can send requests to the API without a network."""

OnReady = Callable[["WorkerProcess"], None]
"""Called once, when a worker process has started its background work. From then on `request_stop` drains it."""


async def run(settings: Settings, serve_in_process: ServeInProcess, on_ready: OnReady) -> None:
    """Loads the graphs, opens the connections and works. Returns when the process has drained."""
    graphs = await Registry.load(settings.config, release=settings.release)
    freeze_loaded_objects()
    async with open_services(settings, graphs, "worker") as services:
        for_claims = pipeline_to(
            services.address,
            "slipway worker claims",
            patience_s=settings.redis_patience_web_s,
            counts_metrics=settings.metrics,
        )
        try:
            await open_with_retries(for_claims.open, services.clock)
            async with serve_in_process(services):
                await WorkerProcess(services, for_claims).work(on_ready)
        finally:
            await for_claims.close()


class WorkerProcess:
    """The background work of one process: the claim loop with its executions, the duties, and the jobs of the project's
    arq application. `for_claims` is a separate connection: claims fail soon when Redis is unavailable."""

    def __init__(self, services: Services, for_claims: Pipeline) -> None:
        assert services.executions is not None
        assert services.lease_renewer is not None
        assert services.control_channels is not None
        self.services, settings = services, services.settings
        self.executions, self._lease_renewer = services.executions, services.lease_renewer
        self._worker_id = services.lease_renewer.worker
        self._stop_requested = asyncio.Event()
        self.claims = ClaimingWorker(
            self.run_attempt,
            services.shards,
            for_claims,
            services.control_channels,
            self._worker_id,
            WorkerHealth(services.pipeline, services.shards, self._worker_id),
            services.served,
            lease_ms=int(settings.lease_s * 1000),
            max_runs=settings.max_runs_per_worker,
            high_water=settings.redis_high_water,
        )
        self._start_authorization = StartAuthorization(services)
        self._duties = [kind(services) for kind in DUTIES]
        (self._deliveries,) = (duty for duty in self._duties if isinstance(duty, Deliveries))
        self._arq_jobs = None if services.arq is None else ArqJobs(services.arq, self._report_arq_fault)

    def background(self) -> tuple[Background, ...]:
        """What works from the start of the process to the end of its drain."""
        claims = Background("claims", self.claims.async_run, self._drain_runs)
        duties = [Background(duty.name, duty.run) for duty in self._duties]
        if self._arq_jobs is None:
            return claims, *duties
        return claims, Background("arq jobs", self._arq_jobs.async_run, self._arq_jobs.drain), *duties

    def request_stop(self) -> None:
        """Makes `work` drain and return."""
        self._stop_requested.set()

    async def work(self, on_ready: OnReady = lambda process: None) -> None:
        """Works until `request_stop` is called or some background work ends, then drains and returns. Only
        `LayoutWatch` may end; if anything else ends, that is a bug, and its exception is raised."""
        background = self.background()
        tasks = [asyncio.create_task(each.run(), name=each.name) for each in background]
        stop_requested = asyncio.create_task(self._stop_requested.wait(), name="stop request")
        self._lease_renewer.claims_in_group(self.services.served.group, self.services.served.packed)
        on_ready(self)
        report_ready()
        log.info("worker.ready", worker=self._worker_id, graphs=self.services.graphs.names())
        await asyncio.wait({*tasks, stop_requested}, return_when=asyncio.FIRST_COMPLETED)
        log.info("worker.draining", runs=len(self.executions.current))
        drains = [asyncio.create_task(each.drain(self.services.settings.drain_s)) for each in background]
        await asyncio.wait(drains)
        log.info("worker.drained", runs_left=len(self.executions.current))
        for task in (*tasks, stop_requested):
            task.cancel()
        await asyncio.wait(tasks)
        await self.claims.close()
        for task in (*drains, *tasks):
            if not task.cancelled():
                task.result()

    async def _drain_runs(self, within_s: float) -> None:
        """Claims nothing more and stops each graph at its next superstep. After `within_s` the remaining graphs are
        stopped within their superstep, and have `RELEASE_WITHIN_S` to release their runs."""
        self.claims.stop_claiming()
        self._lease_renewer.claims_in_group(None)
        self.executions.drain()
        if not await self.claims.wait_until_idle(within_s):
            self.executions.stop_now()
            await self.claims.wait_until_idle(RELEASE_WITHIN_S)

    def _report_arq_fault(self) -> None:
        report = report_arq_fault(self.services.pipeline, self.services.shards.processes, self._worker_id)
        report.add_done_callback(_ignore_reply)

    async def run_attempt(self, ctx: dict[str, Any], run: Run, claim_sent_at: float) -> None:
        """Executes a run that was just claimed: see `RunHandler`. If the worker is draining already, the run is
        released at once."""
        execution = self.executions.open(run, claim_sent_at, on_cleared=self.claims.suspects.remove)
        try:
            if await self._start_authorization.check(execution.writer):
                await execution.execute()
        finally:
            self.executions.close(execution)
            if run.options.webhook:
                self._deliveries.webhook_is_due(run.run_id)


def _ignore_reply(reply: asyncio.Future[Any]) -> None:
    if not reply.cancelled():
        reply.exception()
