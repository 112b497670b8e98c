"""Eight shards on a real Valkey, and what each of them has of shared records."""

from __future__ import annotations

import uuid
from typing import Any, Final

import pytest

from slipway.graphs.served_version import ServedVersion
from slipway.redis.keys import Keys
from slipway.redis.pipeline import Pipeline
from slipway.redis.shards import Shards

SHARDS: Final = 8


@pytest.fixture
def shards() -> Shards:
    """Eight shards with a key prefix for this test only."""
    return Shards(f"test-{uuid.uuid4().hex[:12]}", SHARDS)


def version(name: str) -> ServedVersion:
    """A version of the graph `steps`."""
    return ServedVersion("steps", name, f"schema-{name}", f"build-{name}", True)


async def names_in(pipeline: Pipeline, keys: Keys, pattern: str = ":*") -> list[bytes]:
    """The keys of one shard whose names, without the key prefix, match a pattern."""
    found: list[bytes] = await pipeline.send("KEYS", keys.prefix + pattern, at=keys.prefix)
    return found


async def records_in(pipeline: Pipeline, keys: Keys) -> dict[str, Any]:
    """The shared records that one shard has, as scripts read them there, and their revisions."""

    async def fields(key: str) -> dict[bytes, bytes]:
        flat = await pipeline.send("HGETALL", key)
        return dict(zip(flat[::2], flat[1::2], strict=True))

    found: dict[str, Any] = {
        "switches": await fields(keys.switches),
        "rollouts": await fields(keys.rollouts),
        "versions": await fields(keys.graph_versions),
        "revisions": await pipeline.send("ZRANGE", keys.shared_changes, 0, -1, "WITHSCORES"),
    }
    subscriptions = await fields(f"{keys.prefix}:webhook_subscriptions")
    found["subscriptions"] = {name: sorted(entries.split()) for name, entries in subscriptions.items()}
    for key in await names_in(pipeline, keys, ":webhook_endpoint:*"):
        found[key.decode().removeprefix(keys.prefix)] = await fields(key.decode())
    return found


async def all_records(pipeline: Pipeline, shards: Shards) -> dict[str, Any]:
    """The shared records of the first shard; all others must have the same."""
    first, *others = [await records_in(pipeline, keys) for keys in shards.threads]
    for number, records in enumerate(others, 1):
        assert records == first, f"shard {number} has other records than the first"
    return first
