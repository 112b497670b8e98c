"""Fixtures for the tests of connections to a cluster."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator, Iterator

import pytest

from slipway.redis.connect import pipeline_to
from slipway.redis.connection import Address
from slipway.redis.keys import Keys
from slipway.redis.pipeline import Pipeline
from slipway.redis.shards import Shards
from tests.redis_cluster import RedisCluster


@pytest.fixture
def cluster(redis_cluster: RedisCluster) -> Iterator[RedisCluster]:
    """The session's cluster, which is complete again after the test."""
    yield redis_cluster
    redis_cluster.complete()


@pytest.fixture
def sharded() -> Shards:
    """Eight shards with a key prefix for this test only."""
    return Shards(f"test-{uuid.uuid4().hex[:12]}", 8)


@pytest.fixture
def shard(sharded: Shards) -> Keys:
    """The keys of one of the shards."""
    return sharded.threads[3]


@pytest.fixture
async def to_cluster(cluster: RedisCluster) -> AsyncIterator[Pipeline]:
    """An open pipeline to the cluster."""
    pipeline = pipeline_to(Address(cluster.url), "test", patience_s=15)
    await pipeline.open()
    try:
        yield pipeline
    finally:
        await pipeline.close()
