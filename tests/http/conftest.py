"""The application under uvicorn on a real socket, its clients, and a worker in the process of the test."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import httpx
import pytest
from langgraph_sdk import get_client
from langgraph_sdk.client import LangGraphClient
from starlette.applications import Starlette

from slipway.api.application import create_app
from slipway.api.host_app.extensions import load_extensions
from slipway.api.web_server import WebServer, server_config
from slipway.graphs.langgraph_json import read
from slipway.graphs.registry import Registry
from slipway.services import Services, open_services
from slipway.settings import Settings
from slipway_workers.process import WorkerProcess
from tests.project_fixtures import graphs_of, settings_of
from tests.waiting import wait_until
from tests.worker import running_worker

PROJECT = Path(__file__).parent / "project" / "langgraph.json"
PING_S = 0.2

Client: TypeAlias = Any
"""A `LangGraphClient`. It is `Any`, because the client declares lists where it returns objects."""


@dataclass(frozen=True, slots=True)
class Served:
    """A running web process: its URL, its application and its services."""

    url: str
    app: Starlette
    services: Services


graphs = graphs_of(PROJECT)
settings = settings_of(PROJECT, sse_ping_s=PING_S, max_body_bytes=64 * 1024)
"""Small limits that tests can reach."""


@pytest.fixture
async def served(settings: Settings, graphs: Registry) -> AsyncIterator[Served]:
    """The application under uvicorn."""
    async with serving(settings, graphs) as running:
        yield running


@asynccontextmanager
async def serving(settings: Settings, graphs: Registry, *, dev: bool = False) -> AsyncIterator[Served]:
    """Runs the application under uvicorn for the duration of the block; with `dev` as `slipway dev` does."""
    opened: list[Services] = []

    @asynccontextmanager
    async def opener() -> AsyncIterator[Services]:
        async with open_services(settings, graphs, "web") as services:
            opened.append(services)
            yield services

    extensions = await load_extensions(read(settings.config), graphs.load_object, settings)
    app = create_app(opener, settings, extensions, dev=dev)
    # with the protocol named, asyncio sends each write at once; otherwise responses wait 40 ms for an acknowledgement
    server, listener = WebServer(server_config(app, settings), app), socket.socket(proto=socket.IPPROTO_TCP)
    listener.bind(("127.0.0.1", 0))
    task = asyncio.create_task(server.serve([listener]))
    try:
        await wait_until(lambda: server.started or task.done())
        assert opened, "the application did not start"
        yield Served(f"http://127.0.0.1:{listener.getsockname()[1]}", app, opened[0])
    finally:
        server.should_exit = True
        await task
        listener.close()


@pytest.fixture
async def client(served: Served) -> AsyncIterator[httpx.AsyncClient]:
    """An HTTP client of the application."""
    async with httpx.AsyncClient(base_url=served.url, timeout=10) as client:
        yield client


@pytest.fixture
async def sdk(served: Served) -> AsyncIterator[LangGraphClient]:
    """The SDK's client of the application."""
    async with get_client(url=served.url, api_key=None) as client:
        yield client


async def new_thread(sdk: Client) -> str:
    """Creates a thread and returns its id."""
    return str((await sdk.threads.create())["thread_id"])


@pytest.fixture
async def worker(settings: Settings, graphs: Registry) -> AsyncIterator[WorkerProcess]:
    """A worker in the process of the test."""
    async with running_worker(settings, graphs) as (process, _):
        yield process
