"""The synchronous methods call the asynchronous ones from another thread."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from langgraph.checkpoint.base import ChannelVersions

from slipway.checkpoints.base_checkpointer import BaseCheckpointer
from tests.checkpoints.conftest import checkpoint_of, config_of, put


async def test_synchronous_methods_return_the_same_from_a_thread(saver: BaseCheckpointer) -> None:
    versions: ChannelVersions = {"a": "00000001"}
    checkpoint = checkpoint_of({"a": 1}, versions)
    stored = await asyncio.to_thread(saver.put, config_of("t"), checkpoint, {"source": "loop", "step": 0}, versions)
    await asyncio.to_thread(saver.put_writes, stored, [("a", 2)], "task")
    loaded = await asyncio.to_thread(saver.get_tuple, config_of("t"))
    assert loaded == await saver.aget_tuple(config_of("t"))
    assert loaded
    assert loaded.checkpoint["channel_values"] == {"a": 1}
    assert loaded.pending_writes == [("task", "a", 2)]
    listed = await asyncio.to_thread(lambda: list(saver.list(config_of("t"), limit=2)))
    assert [one.config for one in listed] == [loaded.config]
    newer = [await put(saver, "t", even=n % 2 == 0) for n in range(4)]
    options: dict[str, Any] = {"before": config_of("t", newer[3]), "filter": {"even": False}, "limit": 1}
    listed = await asyncio.to_thread(lambda: list(saver.list(config_of("t"), **options)))
    assert [one.checkpoint["id"] for one in listed] == [newer[1]]
    history = await asyncio.to_thread(saver.get_delta_channel_history, config=loaded.config, channels=["a"])
    assert history == await saver.aget_delta_channel_history(config=loaded.config, channels=["a"])


async def test_synchronous_methods_raise_on_the_event_loop(saver: BaseCheckpointer) -> None:
    with pytest.raises(RuntimeError, match="ainvoke"):
        saver.get_tuple(config_of("t"))


async def test_synchronous_methods_raise_on_another_event_loop(saver: BaseCheckpointer) -> None:
    async def call() -> None:
        saver.get_tuple(config_of("t"))

    with pytest.raises(RuntimeError, match="ainvoke"):
        await asyncio.to_thread(lambda: asyncio.run(call()))
