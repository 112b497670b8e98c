"""An arq application from a dict, a worker's arq jobs in the process of the test, and a project with arq jobs."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from slipway.arq_jobs.application import ArqApplication, load_arq_application
from slipway.arq_jobs.redis_pool import ProjectRedis, project_redis
from slipway.redis.connection import Address
from slipway.services import OpenArqApplication
from slipway.settings import Settings
from slipway_workers.arq_jobs import ArqJobs
from tests.project_fixtures import graphs_of, settings_of

PROJECT = Path(__file__).parent / "project" / "langgraph.json"

graphs = graphs_of(PROJECT)
settings = settings_of(PROJECT)

Running = Callable[..., AbstractAsyncContextManager[ArqJobs]]
"""Executes the jobs of an application until the block ends. The options are arq's settings."""


async def loaded(settings: Settings, **options: Any) -> ArqApplication:
    """An application with these of arq's settings."""
    return await load_arq_application("./tasks.py:settings", lambda _: options, settings)


def queue_name() -> str:
    """The name of a queue that no other test uses."""
    return f"arq:{uuid.uuid4().hex[:12]}"


@pytest.fixture
async def redis(settings: Settings) -> AsyncIterator[ProjectRedis]:
    """A client of the Redis that all applications of the tests use."""

    async def nothing(ctx: dict[Any, Any]) -> None: ...

    client = project_redis(await loaded(settings, functions=[nothing]), Address(settings.redis))
    yield client
    await client.disconnect()


@pytest.fixture
def running(settings: Settings) -> Running:
    @asynccontextmanager
    async def run(
        on_fault: Callable[[], object] = lambda: None, settings: Settings = settings, **options: Any
    ) -> AsyncIterator[ArqJobs]:
        application = await loaded(settings, **{"queue_name": queue_name(), "poll_delay": 0.02} | options)
        client = project_redis(application, Address(settings.redis))
        jobs = ArqJobs(OpenArqApplication(application, client), on_fault)
        task = asyncio.create_task(jobs.async_run())
        try:
            yield jobs
        finally:
            await jobs.drain(0)
            await task
            await client.disconnect()

    return run
