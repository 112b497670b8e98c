"""A checkpointer's synchronous methods, for the graphs that synchronous nodes invoke.

LangGraph runs a synchronous node in a thread; a graph that it calls by `invoke` or `stream` wants its checkpoints kept
by synchronous methods. They work from threads. On the event loop itself they would wait for themselves, and raise
`RuntimeError`.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import (
    BaseCheckpointSaver,
    ChannelVersions,
    Checkpoint,
    CheckpointMetadata,
    CheckpointTuple,
    DeltaChannelHistory,
)

from slipway.asyncio_bridge import run_from_thread
from slipway.redis.pipeline import Pipeline

_NOT_HERE: Final = (
    "a checkpointer's synchronous methods cannot be used in async code: a graph inside an async node is awaited by "
    "`ainvoke` or `astream`, not called by `invoke` or `stream`"
)


class SyncMethods(BaseCheckpointSaver[str]):
    """Each method is its asynchronous twin on the event loop of `_pipeline`."""

    _pipeline: Pipeline

    def get_tuple(self, config: RunnableConfig) -> CheckpointTuple | None:
        """As `aget_tuple`, from a thread."""
        return run_from_thread(self._pipeline.loop, lambda: self.aget_tuple(config), _NOT_HERE)

    def list(
        self,
        config: RunnableConfig | None,
        *,
        filter: dict[str, Any] | None = None,
        before: RunnableConfig | None = None,
        limit: int | None = None,
    ) -> Iterator[CheckpointTuple]:
        """As `alist`, from a thread; all of them are read first."""

        async def read() -> Sequence[CheckpointTuple]:
            return [found async for found in self.alist(config, filter=filter, before=before, limit=limit)]

        return iter(run_from_thread(self._pipeline.loop, read, _NOT_HERE))

    def put(
        self,
        config: RunnableConfig,
        checkpoint: Checkpoint,
        metadata: CheckpointMetadata,
        new_versions: ChannelVersions,
    ) -> RunnableConfig:
        """As `aput`, from a thread."""
        put = functools.partial(self.aput, config, checkpoint, metadata, new_versions)
        return run_from_thread(self._pipeline.loop, put, _NOT_HERE)

    def put_writes(
        self, config: RunnableConfig, writes: Sequence[tuple[str, Any]], task_id: str, task_path: str = ""
    ) -> None:
        """As `aput_writes`, from a thread."""
        put = functools.partial(self.aput_writes, config, writes, task_id, task_path)
        run_from_thread(self._pipeline.loop, put, _NOT_HERE)

    def get_delta_channel_history(
        self, *, config: RunnableConfig, channels: Sequence[str]
    ) -> Mapping[str, DeltaChannelHistory]:
        """As `aget_delta_channel_history`, from a thread."""
        read = functools.partial(self.aget_delta_channel_history, config=config, channels=channels)
        return run_from_thread(self._pipeline.loop, read, _NOT_HERE)
