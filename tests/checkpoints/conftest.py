"""A checkpointer on the session's Valkey, and checkpoints to give it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import BaseCheckpointSaver, ChannelVersions, Checkpoint
from langgraph.checkpoint.base.id import uuid6

from slipway.checkpoints.base_checkpointer import BaseCheckpointer
from slipway.checkpoints.core_checkpointer import CoreCheckpointer
from slipway.checkpoints.langgraph_redis.checkpointer import LangGraphRedisCheckpointer
from slipway.redis.connection import Address
from slipway.redis.keys import Keys
from slipway.redis.pipeline import Pipeline

Make = Callable[..., BaseCheckpointer]
"""Another checkpointer on the same keys, made with these options."""


@pytest.fixture
def core(pipeline: Pipeline, keys: Keys) -> CoreCheckpointer:
    """The default checkpointer."""
    return CoreCheckpointer(pipeline, keys)


@pytest.fixture(params=["core", "langgraph-redis"])
def checkpointer_name(request: pytest.FixtureRequest) -> str:
    """Each of the checkpointers, as `SLIPWAY_CHECKPOINTER` names it."""
    return str(request.param)


@pytest.fixture
async def saver_pipeline(request: pytest.FixtureRequest, checkpointer_name: str) -> AsyncIterator[Pipeline]:
    """The pipeline of the checkpointers that `make` creates, to a server with the modules that they need."""
    url = request.getfixturevalue("valkey_url" if checkpointer_name == "core" else "modules_url")
    pipeline = Pipeline(Address(url), "test", patience_s=5)
    await pipeline.open()
    try:
        yield pipeline
    finally:
        await pipeline.close()


@pytest.fixture
async def make(saver_pipeline: Pipeline, checkpointer_name: str, keys: Keys) -> AsyncIterator[Make]:
    """Creates checkpointers of each kind."""
    if checkpointer_name == "core":
        yield lambda **options: CoreCheckpointer(saver_pipeline, keys, **options)
        return
    try:
        await documents(saver_pipeline, keys).asetup()
        yield lambda **options: documents(saver_pipeline, keys, **options)
    finally:
        await saver_pipeline.send("FT.DROPINDEX", documents_prefix(keys))
        await saver_pipeline.send("FT.DROPINDEX", f"{documents_prefix(keys)}_write")


@pytest.fixture
def saver(make: Make) -> BaseCheckpointer:
    """Each of the checkpointers."""
    return make()


def documents(pipeline: Pipeline, keys: Keys, **options: Any) -> LangGraphRedisCheckpointer:
    """The other checkpointer, under a prefix of the test's own."""
    return LangGraphRedisCheckpointer(pipeline, keys, documents_prefix(keys), **options)


def documents_prefix(keys: Keys) -> str:
    return f"{keys.prefix}-documents"


@pytest.fixture
def stored_keys(request: pytest.FixtureRequest, keys: Keys) -> Callable[[], Any]:
    """The names of all keys under the test's prefix, and of registries that name one."""
    chosen = request.getfixturevalue("core" if "core" in request.fixturenames else "saver")

    async def names() -> list[bytes]:
        found = await chosen.pipeline.send("KEYS", f"{keys.prefix}*", repeatable=True)
        for registry in await chosen.pipeline.send("KEYS", "write_keys_zset:*", repeatable=True):
            members = await chosen.pipeline.send("ZRANGE", registry, 0, -1, repeatable=True)
            found += [registry for member in members if member.startswith(keys.prefix.encode())]
        return sorted(found)

    return names


def checkpoint_of(values: dict[str, Any], versions: ChannelVersions, ident: str | None = None) -> Checkpoint:
    return {
        "v": 4,
        "id": ident or str(uuid6(clock_seq=1)),
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
    ident: str | None = None,
    **metadata: Any,
) -> str:
    """Store a checkpoint and return its id."""
    values = values or {}
    versions = dict.fromkeys(values, "00000001") if versions is None else versions
    config: RunnableConfig = {"configurable": {"thread_id": thread_id, "checkpoint_ns": ns}}
    if parent:
        config["configurable"]["checkpoint_id"] = parent
    stored = await saver.aput(
        config,
        checkpoint_of(values, versions, ident),
        {"source": "loop", "step": 0, "parents": {}, **metadata},  # type: ignore[typeddict-item]
        versions if new is None else new,
    )
    return str(stored["configurable"]["checkpoint_id"])


def at(thread_id: str, ident: str | None = None, ns: str | None = "") -> RunnableConfig:
    """How LangGraph names a checkpoint."""
    target: dict[str, Any] = {"thread_id": thread_id}
    if ns is not None:
        target["checkpoint_ns"] = ns
    if ident:
        target["checkpoint_id"] = ident
    return {"configurable": target}


async def ids(saver: BaseCheckpointSaver[str], config: RunnableConfig | None, **how: Any) -> list[str]:
    return [found.checkpoint["id"] async for found in saver.alist(config, **how)]
