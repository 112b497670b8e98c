"""A server whose auth file follows the rules that a test sets (`rules_project/auth.py`), and the services of a worker
that does nothing by itself."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from slipway.graphs.registry import Registry
from slipway.settings import Settings
from tests.crons.conftest import due_times, services
from tests.http.conftest import Served, serving
from tests.project_fixtures import graphs_of, settings_of

__all__ = [
    "DELAYED_RUN",
    "MEMBERS_ONLY",
    "RUN",
    "THREAD_OPERATIONS",
    "YEARLY",
    "admin",
    "ann",
    "bob",
    "due_times",
    "graphs",
    "post_json",
    "rules",
    "served",
    "services",
    "set_members",
    "settings",
]

PROJECT = Path(__file__).parent / "rules_project" / "langgraph.json"
YEARLY = "0 0 1 1 *"
"""The schedule of a cron that is not due during a test."""
RUN: dict[str, Any] = {"assistant_id": "greet", "input": {"text": "hi"}}
DELAYED_RUN: dict[str, Any] = RUN | {"after_seconds": 3600}
MEMBERS_ONLY = {"members": {"$contains": "ann"}}
"""A filter that matches records with ann among their members."""
THREAD_OPERATIONS = ("threads:read", "threads:create_run", "threads:update")

graphs = graphs_of(PROJECT)
settings = settings_of(PROJECT, sse_ping_s=0.2)


@pytest.fixture
def rules(graphs: Registry) -> Iterator[Any]:
    """The rules of the auth file; without any before and after the test."""
    rules: Any = graphs.load_object("./auth.py:rules")
    rules.reset()
    yield rules
    rules.reset()


@pytest.fixture
async def served(settings: Settings, graphs: Registry) -> AsyncIterator[Served]:
    """A web process of the project under uvicorn."""
    async with serving(settings, graphs) as running:
        yield running


@asynccontextmanager
async def as_user(served: Served, name: str) -> AsyncIterator[httpx.AsyncClient]:
    """A plain HTTP client with the token of this user."""
    headers = {"authorization": f"Bearer {name}-token"}
    async with httpx.AsyncClient(base_url=served.url, headers=headers, timeout=30) as client:
        yield client


@pytest.fixture
async def ann(served: Served) -> AsyncIterator[httpx.AsyncClient]:
    async with as_user(served, "ann") as client:
        yield client


@pytest.fixture
async def bob(served: Served) -> AsyncIterator[httpx.AsyncClient]:
    async with as_user(served, "bob") as client:
        yield client


@pytest.fixture
async def admin(served: Served) -> AsyncIterator[httpx.AsyncClient]:
    """The user to whom no rule applies."""
    async with as_user(served, "admin") as client:
        yield client


async def post_json(client: httpx.AsyncClient, path: str, body: Any) -> Any:
    """The JSON that a POST returns; fails if its status is not 200."""
    response = await client.post(path, json=body)
    assert response.status_code == 200, response.text
    return response.json()


async def set_members(admin: httpx.AsyncClient, thread_id: str, *members: str) -> None:
    """Replace the members in the metadata of a thread."""
    response = await admin.patch(f"/threads/{thread_id}", json={"metadata": {"members": members}})
    assert response.status_code == 200
