"""A worker in the process of the test."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from slipway.execution.execution import Execution
from slipway.graphs.registry import Registry
from slipway.redis.server_pipeline import ServerPipeline
from slipway.services import Services, open_services
from slipway.settings import Settings
from slipway_workers.process import WorkerProcess


def executing(process: WorkerProcess) -> dict[str, Execution]:
    """The newest execution of each run of a worker, by run id."""
    return {execution.run.run_id: execution for execution in process.executions.current}


@asynccontextmanager
async def running_worker(settings: Settings, graphs: Registry) -> AsyncIterator[tuple[WorkerProcess, Services]]:
    """A worker that runs until the end of the block. Executions that remain are stopped."""
    async with open_services(settings, graphs, "worker") as services:
        for_claims = ServerPipeline(
            services.address, "test worker claims", patience_s=2, counts_metrics=settings.metrics
        )
        await for_claims.open()
        process = WorkerProcess(services, for_claims)
        task = asyncio.create_task(process.work())
        try:
            yield process, services
        finally:
            process.executions.stop_now()
            process.request_stop()
            await task
            await for_claims.close()
