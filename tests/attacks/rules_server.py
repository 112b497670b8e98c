"""A server whose auth file follows the rules that a test sets (`rules_project/auth.py`), and the services of a worker
that does nothing by itself."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from slipway.graphs.registry import Registry
from slipway.redis.keys import Keys
from slipway.redis.pipeline import Pipeline
from slipway.services import Services, open_services
from slipway.settings import Settings
from tests.crons.conftest import DueTimes
from tests.http.conftest import Served, serving

PROJECT = Path(__file__).parent / "rules_project" / "langgraph.json"
NEVER = "0 0 1 1 *"
RUN: dict[str, Any] = {"assistant_id": "greet", "input": {"text": "hi"}}


@pytest.fixture(scope="session")
def graphs() -> Registry:
    """The graphs of `rules_project/`, loaded once."""
    return asyncio.run(Registry.load(PROJECT))


@pytest.fixture
def settings(valkey_url: str, keys: Keys) -> Settings:
    """Of the project `rules_project/`."""
    return Settings.of({"redis_url": valkey_url, "key_prefix": keys.prefix, "config": PROJECT, "sse_ping_s": 0.2})


@pytest.fixture
def rules(graphs: Registry) -> Iterator[Any]:
    """What the auth file forbids; nothing before the test and after it."""
    rules: Any = graphs.attribute("./auth.py:rules")
    rules.reset()
    yield rules
    rules.reset()


@pytest.fixture
async def served(settings: Settings, graphs: Registry) -> AsyncIterator[Served]:
    """The application under uvicorn."""
    async with serving(settings, graphs) as running:
        yield running


@pytest.fixture
async def services(settings: Settings, graphs: Registry) -> AsyncIterator[Services]:
    """Of a worker that does nothing by itself."""
    async with open_services(settings, graphs, "worker") as services:
        yield services


@pytest.fixture
def due_times(pipeline: Pipeline, keys: Keys) -> DueTimes:
    """The clock, as far as crons know it."""
    return DueTimes(pipeline, keys)


@asynccontextmanager
async def as_user(served: Served, name: str) -> AsyncIterator[httpx.AsyncClient]:
    """Plain HTTP with somebody's token."""
    headers = {"authorization": f"Bearer {name}-token"}
    async with httpx.AsyncClient(base_url=served.url, headers=headers, timeout=30) as client:
        yield client


@pytest.fixture
async def ann(served: Served) -> AsyncIterator[httpx.AsyncClient]:
    """A user."""
    async with as_user(served, "ann") as client:
        yield client


@pytest.fixture
async def bob(served: Served) -> AsyncIterator[httpx.AsyncClient]:
    """Another user."""
    async with as_user(served, "bob") as client:
        yield client


@pytest.fixture
async def admin(served: Served) -> AsyncIterator[httpx.AsyncClient]:
    """Who may do everything, whatever the rules say."""
    async with as_user(served, "admin") as client:
        yield client


async def made(client: httpx.AsyncClient, path: str, body: Any) -> Any:
    """What a POST has made."""
    answer = await client.post(path, json=body)
    assert answer.status_code == 200, answer.text
    return answer.json()
