"""Passes rewritten checkpoints to a checkpointer. Its writer decides when and under which condition they are stored."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import CheckpointMetadata

from slipway.checkpoints.base_checkpointer import BaseCheckpointer
from slipway.thread_moves.rewriting import NewCheckpoint


async def store(checkpointer: BaseCheckpointer, thread_id: str, checkpoints: Sequence[NewCheckpoint]) -> None:
    """Stores the checkpoints with their pending writes."""
    for each in checkpoints:
        target: RunnableConfig = {
            "configurable": {
                "thread_id": thread_id,
                "checkpoint_ns": each.namespace,
                "checkpoint_id": each.parent_id,
            }
        }
        metadata = cast(CheckpointMetadata, dict(each.metadata))
        stored = await checkpointer.aput(target, each.checkpoint, metadata, each.new_versions)
        await checkpointer.put_stored_writes(stored, each.writes)
