"""A checkpointer on the session's Valkey, and checkpoints to give it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import BaseCheckpointSaver, ChannelVersions, Checkpoint
from langgraph.checkpoint.base.id import uuid6

from app.checkpoints import Checkpointer
from app.keyspace.names import Keys
from app.wire import Wire


@pytest.fixture
def saver(wire: Wire, keys: Keys) -> Checkpointer:
    return Checkpointer(wire, keys)


@pytest.fixture
def stored_keys(wire: Wire, keys: Keys) -> Callable[[], Any]:
    """The names of all keys under the test's prefix."""

    async def names() -> list[bytes]:
        return sorted(await wire.send("KEYS", f"{keys.prefix}*", again=True))

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
