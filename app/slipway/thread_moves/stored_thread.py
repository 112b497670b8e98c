"""What is stored of the superstep that a thread is about to continue: the newest checkpoint of its graph, and those of
the subgraphs that its tasks have started."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from langgraph.checkpoint.base import Checkpoint, CheckpointTuple

from slipway.checkpoints.base_checkpointer import BaseCheckpointer, StoredWrite
from slipway.checkpoints.moved_ids import OF_MOVE


@dataclass(frozen=True, slots=True)
class StoredCheckpoint:
    """The newest checkpoint of one namespace, with its pending writes."""

    namespace: str
    checkpoint: Checkpoint
    metadata: Mapping[str, Any]
    writes: Sequence[StoredWrite]

    @property
    def id(self) -> str:
        return self.checkpoint["id"]

    @property
    def step(self) -> int:
        """The superstep that the checkpoint starts."""
        return int(self.metadata.get("step", -1)) + 1


@dataclass(frozen=True, slots=True)
class StoredThread:
    """The newest checkpoint of a thread, and those that its unfinished superstep has stored in subgraphs."""

    thread_id: str
    root: StoredCheckpoint
    inside: Sequence[StoredCheckpoint] = field(default=())
    """Those of subgraphs, each after the one that encloses it."""

    @property
    def move(self) -> Mapping[str, Any]:
        """How a move has made the newest checkpoint. Empty if it is not the work of a move."""
        found: Mapping[str, Any] = self.root.metadata.get(OF_MOVE) or {}
        return found


async def read_thread(
    checkpointer: BaseCheckpointer, thread_id: str, found: CheckpointTuple | None = None
) -> StoredThread | None:
    """Reads a thread; `found` is its newest checkpoint if that was read before. None if it has no checkpoint."""
    found = found or await checkpointer.latest(thread_id)
    if found is None:
        return None
    root = await _stored(checkpointer, found)
    inside = []
    newest = await checkpointer.newest_ids(thread_id)
    for namespace in sorted(newest.keys() - {""}, key=lambda each: (each.count("|"), each)):
        target = {"thread_id": thread_id, "checkpoint_ns": namespace, "checkpoint_id": newest[namespace]}
        one = await checkpointer.aget_tuple({"configurable": target})
        if one is not None and (one.metadata.get("parents") or {}).get("") == root.id:
            inside.append(await _stored(checkpointer, one))
    return StoredThread(thread_id, root, inside)


async def _stored(checkpointer: BaseCheckpointer, found: CheckpointTuple) -> StoredCheckpoint:
    return StoredCheckpoint(
        found.config["configurable"].get("checkpoint_ns", ""),
        found.checkpoint,
        dict(found.metadata),
        await checkpointer.stored_writes(found.config),
    )
