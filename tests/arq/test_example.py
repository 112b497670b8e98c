"""The project in `examples/arq_jobs` works: a cron job starts a run, whose node enqueues jobs."""

from __future__ import annotations

import asyncio
import socket
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route

import slipway.arq
from slipway.graphs.registry import Registry
from slipway.settings import Settings
from tests.http.conftest import serving
from tests.worker import running_worker

EXAMPLE = Path(__file__).parents[2] / "examples" / "arq_jobs" / "langgraph.json"


@pytest.fixture
async def website() -> AsyncIterator[str]:
    """The URL of a web site with one page."""

    async def page(request: Request) -> PlainTextResponse:
        return PlainTextResponse("four")

    listener = socket.socket(proto=socket.IPPROTO_TCP)
    listener.bind(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(Starlette(routes=[Route("/page", page)]), log_config=None))
    task = asyncio.create_task(server.serve([listener]))
    yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    server.should_exit = True
    await task
    listener.close()


async def test_a_job_starts_a_run_whose_node_enqueues_jobs(
    settings: Settings, website: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "path", list(sys.path))  # the folders of the example would hide modules of other tests
    graphs = await Registry.load(EXAMPLE)
    assert graphs.failures() == {}
    tasks: Any = graphs.load_object("./tasks.py:PAGES")
    ours = settings.model_copy(update={"config": EXAMPLE})
    pages, tasks[:] = list(tasks), [f"{website}/page", f"{website}/none"]
    try:
        async with serving(ours, graphs), running_worker(ours, graphs):
            job = await slipway.arq.pool().enqueue_job("cron:report_of_the_night")
            assert job is not None
            report = await job.result(timeout=20, poll_delay=0.02)
    finally:
        tasks[:] = pages
    assert report == f"{website}/page: 200, 4 bytes\n{website}/none: 404, 9 bytes"
