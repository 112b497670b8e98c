"""A checkpointer's synchronous methods, for the graphs that synchronous nodes invoke.

LangGraph runs a synchronous node in a thread. A graph that such a node calls by `invoke` or `stream` stores its
checkpoints through the synchronous methods. They work from other threads only: on the event loop they would wait for
themselves forever, so they raise `RuntimeError` there.
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

_ON_EVENT_LOOP: Final = (
    "a checkpointer's synchronous methods cannot be used in async code: a graph inside an async node is awaited by "
    "`ainvoke` or `astream`, not called by `invoke` or `stream`"
)


class SyncMethods(BaseCheckpointSaver[str]):
    """Each method runs its asynchronous counterpart on the event loop of `pipeline`."""

    pipeline: Pipeline

    def get_tuple(self, config: RunnableConfig) -> CheckpointTuple | None:
        return run_from_thread(self.pipeline.loop, lambda: self.aget_tuple(config), _ON_EVENT_LOOP)

    def list(
        self,
        config: RunnableConfig | None,
        *,
        filter: dict[str, Any] | None = None,
        before: RunnableConfig | None = None,
        limit: int | None = None,
    ) -> Iterator[CheckpointTuple]:
        """Reads all checkpoints before it returns the first."""

        async def read() -> Sequence[CheckpointTuple]:
            return [checkpoint async for checkpoint in self.alist(config, filter=filter, before=before, limit=limit)]

        return iter(run_from_thread(self.pipeline.loop, read, _ON_EVENT_LOOP))

    def put(
        self,
        config: RunnableConfig,
        checkpoint: Checkpoint,
        metadata: CheckpointMetadata,
        new_versions: ChannelVersions,
    ) -> RunnableConfig:
        put = functools.partial(self.aput, config, checkpoint, metadata, new_versions)
        return run_from_thread(self.pipeline.loop, put, _ON_EVENT_LOOP)

    def put_writes(
        self, config: RunnableConfig, writes: Sequence[tuple[str, Any]], task_id: str, task_path: str = ""
    ) -> None:
        put = functools.partial(self.aput_writes, config, writes, task_id, task_path)
        run_from_thread(self.pipeline.loop, put, _ON_EVENT_LOOP)

    def get_delta_channel_history(
        self, *, config: RunnableConfig, channels: Sequence[str]
    ) -> Mapping[str, DeltaChannelHistory]:
        read = functools.partial(self.aget_delta_channel_history, config=config, channels=channels)
        return run_from_thread(self.pipeline.loop, read, _ON_EVENT_LOOP)
