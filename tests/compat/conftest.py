"""A served application and a worker, for other people's clients."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, TypeAlias

import pytest

from slipway.graphs.registry import Registry
from slipway.redis.keys import Keys
from slipway.settings import Settings
from tests.http.conftest import client, sdk, served, worker

__all__ = ["client", "sdk", "served", "worker"]

PROJECT = Path(__file__).parent / "project" / "langgraph.json"

Client: TypeAlias = Any
"""A `LangGraphClient`; its own types promise lists where it gives objects."""

Eventually = Callable[..., Awaitable[None]]


@pytest.fixture(scope="session")
def graphs() -> Registry:
    """The graphs of `project/`, loaded once."""
    return asyncio.run(Registry.load(PROJECT))


@pytest.fixture
def settings(valkey_url: str, keys: Keys) -> Settings:
    """A quick beat."""
    return Settings.of({"redis_url": valkey_url, "key_prefix": keys.prefix, "config": PROJECT, "sse_ping_s": 0.2})


async def new_thread(sdk: Client) -> str:
    """A thread's id."""
    return str((await sdk.threads.create())["thread_id"])


async def held(sdk: Client, thread: str) -> bool:
    """Whether the run of `hold` has come to where it stays."""
    return bool((await sdk.threads.get_state(thread))["next"] == ["wait"])
