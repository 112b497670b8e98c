"""Fixtures with checkpointers, and functions that store and list checkpoints."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import BaseCheckpointSaver, ChannelVersions, Checkpoint
from langgraph.checkpoint.base.id import uuid6
from langgraph.checkpoint.redis.aio import AsyncRedisSaver
from redis.asyncio import Redis

from slipway.checkpoints.base_checkpointer import BaseCheckpointer
from slipway.checkpoints.core_checkpointer import CoreCheckpointer
from slipway.checkpoints.langgraph_redis.checkpointer import LangGraphRedisCheckpointer
from slipway.redis.connection import Address
from slipway.redis.keys import Keys
from slipway.redis.pipeline import Pipeline
from slipway.redis.server_pipeline import ServerPipeline
from tests.shards import run_on, shards_of

CheckpointerFactory = Callable[..., BaseCheckpointer]
"""Creates a checkpointer on the keys of the test, with these options."""


@pytest.fixture
def core(pipeline: Pipeline, keys: Keys) -> CoreCheckpointer:
    """The default checkpointer."""
    return CoreCheckpointer(pipeline, shards_of(keys))


@pytest.fixture(params=["core", "langgraph-redis"])
def checkpointer_name(request: pytest.FixtureRequest) -> str:
    """Each value of `SLIPWAY_CHECKPOINTER`."""
    return str(request.param)


@pytest.fixture
async def checkpointer_pipeline(request: pytest.FixtureRequest, checkpointer_name: str) -> AsyncIterator[Pipeline]:
    """The pipeline of the checkpointers that `make_checkpointer` creates, to a server with the modules that they
    need."""
    url = request.getfixturevalue("valkey_url" if checkpointer_name == "core" else "modules_url")
    pipeline = ServerPipeline(Address(url), "test", patience_s=5)
    await pipeline.open()
    try:
        yield pipeline
    finally:
        await pipeline.close()


@pytest.fixture
async def make_checkpointer(
    checkpointer_pipeline: Pipeline, checkpointer_name: str, keys: Keys
) -> AsyncIterator[CheckpointerFactory]:
    if checkpointer_name == "core":
        yield lambda **options: CoreCheckpointer(checkpointer_pipeline, shards_of(keys), **options)
        return
    try:
        await langgraph_redis_checkpointer(checkpointer_pipeline, keys).asetup()
        yield lambda **options: langgraph_redis_checkpointer(checkpointer_pipeline, keys, **options)
    finally:
        await checkpointer_pipeline.send("FT.DROPINDEX", documents_prefix(keys))
        await checkpointer_pipeline.send("FT.DROPINDEX", f"{documents_prefix(keys)}_write")


@pytest.fixture
def saver(make_checkpointer: CheckpointerFactory) -> BaseCheckpointer:
    return make_checkpointer()


@pytest.fixture
async def package(modules_url: str, keys: Keys) -> AsyncIterator[AsyncRedisSaver]:
    """The checkpointer of `langgraph-checkpoint-redis`, on the keys of `corrected`."""
    async with Redis.from_url(modules_url) as client:
        prefix = documents_prefix(keys)
        saver = AsyncRedisSaver(
            redis_client=client, checkpoint_prefix=prefix, checkpoint_write_prefix=f"{prefix}_write"
        )
        await saver.asetup()
        try:
            yield saver
        finally:
            await client.execute_command("FT.DROPINDEX", prefix)
            await client.execute_command("FT.DROPINDEX", f"{prefix}_write")


@pytest.fixture
async def corrected(
    modules_url: str, package: AsyncRedisSaver, keys: Keys
) -> AsyncIterator[LangGraphRedisCheckpointer]:
    """Slipway's corrected subclass of it."""
    pipeline = ServerPipeline(Address(modules_url), "test", patience_s=5)
    await pipeline.open()
    try:
        yield langgraph_redis_checkpointer(pipeline, keys)
    finally:
        await pipeline.close()


def langgraph_redis_checkpointer(pipeline: Pipeline, keys: Keys, **options: Any) -> LangGraphRedisCheckpointer:
    """The checkpointer `langgraph-redis`, with an index prefix for this test."""
    return LangGraphRedisCheckpointer(pipeline, shards_of(keys), documents_prefix(keys), **options)


def documents_prefix(keys: Keys) -> str:
    return f"{keys.prefix}-documents"


@pytest.fixture
def stored_keys(request: pytest.FixtureRequest, keys: Keys) -> Callable[[], Any]:
    """Lists the keys under the prefix of the test, and the registries that name such keys."""
    saver = request.getfixturevalue("core" if "core" in request.fixturenames else "saver")

    async def list_keys() -> list[bytes]:
        names = await saver.pipeline.send("KEYS", f"{keys.prefix}*", repeatable=True)
        for registry in await saver.pipeline.send("KEYS", "write_keys_zset:*", repeatable=True):
            members = await saver.pipeline.send("ZRANGE", registry, 0, -1, repeatable=True)
            names += [registry for member in members if member.startswith(keys.prefix.encode())]
        return sorted(names)

    return list_keys


def checkpoint_of(values: dict[str, Any], versions: ChannelVersions, checkpoint_id: str | None = None) -> Checkpoint:
    return {
        "v": 4,
        "id": checkpoint_id or str(uuid6(clock_seq=1)),
        "ts": "2026-01-01T00:00:00+00:00",
        "channel_values": values,
        "channel_versions": versions,
        "versions_seen": {},
        "updated_channels": None,
    }


async def put(
    saver: BaseCheckpointSaver[str],
    thread_id: str,
    values: dict[str, Any] | None = None,
    *,
    versions: ChannelVersions | None = None,
    new: ChannelVersions | None = None,
    ns: str = "",
    parent: str | None = None,
    checkpoint_id: str | None = None,
    run: str | None = None,
    **metadata: Any,
) -> str:
    """Stores a checkpoint and returns its id. `run` is the name of a run on the thread: see `run_on`."""
    values = values or {}
    if run is not None:
        metadata["run_id"] = run_on(thread_id, run)
    versions = dict.fromkeys(values, "00000001") if versions is None else versions
    config: RunnableConfig = {"configurable": {"thread_id": thread_id, "checkpoint_ns": ns}}
    if parent:
        config["configurable"]["checkpoint_id"] = parent
    stored = await saver.aput(
        config,
        checkpoint_of(values, versions, checkpoint_id),
        {"source": "loop", "step": 0, "parents": {}, **metadata},  # type: ignore[typeddict-item]
        versions if new is None else new,
    )
    return str(stored["configurable"]["checkpoint_id"])


def config_of(thread_id: str, checkpoint_id: str | None = None, ns: str | None = "") -> RunnableConfig:
    """The config that names a thread, a namespace (None: all) and a checkpoint."""
    target: dict[str, Any] = {"thread_id": thread_id}
    if ns is not None:
        target["checkpoint_ns"] = ns
    if checkpoint_id:
        target["checkpoint_id"] = checkpoint_id
    return {"configurable": target}


async def listed_ids(saver: BaseCheckpointSaver[str], config: RunnableConfig | None, **options: Any) -> list[str]:
    return [stored.checkpoint["id"] async for stored in saver.alist(config, **options)]
