"""A project with an auth file, served; ann and bob, who do not see each other, and dan, who may do nothing."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, TypeAlias

import pytest
from langgraph_sdk import get_client

from slipway.graphs.registry import Registry
from slipway.redis.keys import Keys
from slipway.settings import Settings
from tests.http.conftest import Served, client, served, worker

__all__ = ["client", "served", "worker"]

PROJECT = Path(__file__).parent / "project" / "langgraph.json"

Client: TypeAlias = Any
"""A `LangGraphClient`; its own types promise lists where it gives objects."""


@pytest.fixture(scope="session")
def graphs() -> Registry:
    """The graphs of `project/`, loaded once."""
    return asyncio.run(Registry.load(PROJECT))


@pytest.fixture
def settings(valkey_url: str, keys: Keys) -> Settings:
    """A quick beat."""
    return Settings.of({"redis_url": valkey_url, "key_prefix": keys.prefix, "config": PROJECT, "sse_ping_s": 0.2})


def as_user(url: str, name: str) -> Client:
    """The SDK with somebody's token."""
    return get_client(url=url, api_key=None, headers={"authorization": f"Bearer {name}-token"})


@pytest.fixture
async def ann(served: Served) -> AsyncIterator[Client]:
    """A user."""
    async with as_user(served.url, "ann") as client:
        yield client


@pytest.fixture
async def bob(served: Served) -> AsyncIterator[Client]:
    """Another one."""
    async with as_user(served.url, "bob") as client:
        yield client
