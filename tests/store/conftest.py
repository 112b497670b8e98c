"""A store without an index, and a deployment whose graphs use its store."""

from __future__ import annotations

from pathlib import Path

import pytest

from slipway.redis.keys import Keys
from slipway.redis.pipeline import Pipeline
from slipway.store.store import RedisStore
from tests.http.conftest import sdk, served, worker
from tests.project_fixtures import graphs_of, settings_of

__all__ = ["sdk", "served", "worker"]

PROJECT = Path(__file__).parent / "project" / "langgraph.json"
ITEM_BYTES = 2000


graphs = graphs_of(PROJECT)
settings = settings_of(PROJECT, max_store_item_bytes=ITEM_BYTES)


@pytest.fixture
async def store(pipeline: Pipeline, keys: Keys) -> RedisStore:
    """A store without an index."""
    return RedisStore(pipeline, keys, max_item_bytes=ITEM_BYTES)
