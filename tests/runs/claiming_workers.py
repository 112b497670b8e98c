"""Workers in the process of the test that claim runs, and execute nothing but a function of the test."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from slipway.redis.connect import pipeline_to
from slipway.redis.connection import Address
from slipway.redis.pipeline import Pipeline
from slipway.runs.control_channels import ControlChannels
from slipway.runs.worker_health import WorkerHealth
from slipway_workers.claims import ClaimingWorker, RunHandler
from tests.runs.conftest import ANY_VERSION, Stores


@dataclass(frozen=True, slots=True)
class Claiming:
    """A worker that claims, its task and its connection for claims."""

    worker: ClaimingWorker
    task: asyncio.Task[None]
    pipeline: Pipeline
    health: WorkerHealth
    wakes: list[int]
    """The shards for which it was woken by messages, in order."""


@asynccontextmanager
async def claiming_worker(
    url: str,
    stores: Stores,
    execute: RunHandler,
    name: str = "w",
    *,
    max_runs: int = 1,
    health_pipeline: Pipeline | None = None,
) -> AsyncIterator[Claiming]:
    """A worker that claims over a connection to `url` until the end of the block, when its runs must have ended."""
    pipeline = pipeline_to(Address(url), f"test claims of {name}", patience_s=5)
    await pipeline.open()
    channels = ControlChannels(stores.subscriber, stores.queues, name, lambda _: None)
    await channels.open()
    health = WorkerHealth(health_pipeline or stores.pipeline, stores.shards, name)
    worker = ClaimingWorker(
        execute,
        stores.shards,
        pipeline,
        channels,
        name,
        health,
        ANY_VERSION,
        lease_ms=60_000,
        max_runs=max_runs,
        high_water=0.85,
    )
    wakes: list[int] = []

    def on_wake(shard: int, others_wait: bool) -> None:
        wakes.append(shard)
        worker.on_wake(shard, others_wait)

    channels.on_wake = on_wake
    task = asyncio.create_task(worker.async_run())
    try:
        yield Claiming(worker, task, pipeline, health, wakes)
        worker.stop_claiming()
        assert await worker.wait_until_idle(10)
    finally:
        task.cancel()
        await worker.close()
        await pipeline.close()
