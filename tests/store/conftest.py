"""Stores on a real Valkey; the application and a worker for graphs that remember."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from slipway.graphs.registry import Registry
from slipway.redis.keys import Keys
from slipway.redis.pipeline import Pipeline
from slipway.settings import Settings
from slipway.store.store import RedisStore
from tests.http.conftest import sdk, served, worker

__all__ = ["sdk", "served", "worker"]

PROJECT = Path(__file__).parent / "project" / "langgraph.json"
ITEM_BYTES = 2000


@pytest.fixture(scope="session")
def graphs() -> Registry:
    """The graphs of `project/`, loaded once."""
    return asyncio.run(Registry.load(PROJECT))


@pytest.fixture
def settings(valkey_url: str, keys: Keys) -> Settings:
    """Small items."""
    given = {"redis_url": valkey_url, "key_prefix": keys.prefix, "config": PROJECT, "max_store_item_bytes": ITEM_BYTES}
    return Settings.of(given)


@pytest.fixture
async def store(pipeline: Pipeline, keys: Keys) -> RedisStore:
    """Without an index."""
    return RedisStore(pipeline, keys, max_item_bytes=ITEM_BYTES)
