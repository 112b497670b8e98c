"""A server with an auth file, and its users: ann and bob, who cannot read each other's records, and dan, who has no
permission."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from langgraph_sdk import get_client

from tests.http.conftest import Client, Served, client, served, worker
from tests.project_fixtures import graphs_of, settings_of

__all__ = ["Client", "client", "served", "worker"]

PROJECT = Path(__file__).parent / "project" / "langgraph.json"

graphs = graphs_of(PROJECT)
settings = settings_of(PROJECT, sse_ping_s=0.2)


def as_user(url: str, name: str) -> Client:
    """An SDK client with the token of this user."""
    return get_client(url=url, api_key=None, headers={"authorization": f"Bearer {name}-token"})


@pytest.fixture
async def ann(served: Served) -> AsyncIterator[Client]:
    async with as_user(served.url, "ann") as client:
        yield client


@pytest.fixture
async def bob(served: Served) -> AsyncIterator[Client]:
    async with as_user(served.url, "bob") as client:
        yield client
