"""Reads the positions of threads."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import CheckpointTuple

from slipway.checkpoints.base_checkpointer import BaseCheckpointer
from slipway.checkpoints.checkpoint_head import CheckpointHead, is_own
from slipway.checkpoints.task_ids import namespace_of_call
from slipway.graphs.structure import GraphStructure
from slipway.graphs.verdict import PendingTask, Position
from slipway.thread_positions.tasks import FoundTask, tasks_of

_STATE_OF_LANGGRAPH: Final = frozenset({"__previous__", "__root__"})
"""What an `@entrypoint` has saved, and the state of a graph whose state is not a record. All other channels whose names
begin and end with `__` are LangGraph's own."""


class PositionReader:
    """Reads the newest checkpoints of threads, without changing anything. A position needs one round trip, and one more
    for each level of subgraphs; those of threads that are read at the same time are sent together."""

    def __init__(self, checkpointer: BaseCheckpointer) -> None:
        self._checkpointer = checkpointer

    async def read(self, thread_id: str, structure: GraphStructure | None) -> Position:
        """Where a thread is. `structure` is that of the version that has written its newest checkpoint, None if it is
        not known. An empty position if nothing is stored. Raises `StoredDataError` for a damaged checkpoint."""
        return await self._read(thread_id, "", structure) or Position()

    async def read_at(
        self, found: CheckpointTuple, structure: GraphStructure | None, *, replays: bool = False
    ) -> Position:
        """Where a thread was at one of its checkpoints. Subgraphs that keep a state of their own are where they are
        now; with `replays` where they were at that time, because LangGraph begins with that state if it executes the
        tasks of the checkpoint again."""
        head = await self._checkpointer.head_of(found)
        before = _state_before(found) if replays else None
        return await self._position(str(found.config["configurable"]["thread_id"]), "", structure, head, before)

    async def read_many(self, threads: Sequence[tuple[str, GraphStructure | None]]) -> list[Position]:
        """The positions of several threads, each with the structure of its version, in their order."""
        return list(await asyncio.gather(*(self.read(thread_id, structure) for thread_id, structure in threads)))

    async def _read(
        self, thread_id: str, namespace: str, structure: GraphStructure | None, before: str | None = None
    ) -> Position | None:
        """With `before`, at the newest checkpoint whose id is smaller."""
        if before is None:
            head = await self._checkpointer.head(thread_id, namespace)
        else:
            head = await self._head_before(thread_id, namespace, before)
        return None if head is None else await self._position(thread_id, namespace, structure, head, before)

    async def _head_before(self, thread_id: str, namespace: str, before: str) -> CheckpointHead | None:
        config: RunnableConfig = {"configurable": {"thread_id": thread_id, "checkpoint_ns": namespace}}
        limit: RunnableConfig = {"configurable": {"checkpoint_id": before}}
        async for found in self._checkpointer.alist(config, before=limit, limit=1):
            return await self._checkpointer.head_of(found)
        return None

    async def _position(
        self,
        thread_id: str,
        namespace: str,
        structure: GraphStructure | None,
        head: CheckpointHead,
        before: str | None = None,
    ) -> Position:
        found = tasks_of(head, structure, namespace)
        kept = await self._kept(thread_id, namespace, structure, before)
        tasks = await asyncio.gather(*(self._task(thread_id, namespace, structure, each, kept) for each in found.tasks))
        channels = frozenset(name for name in {*head.channels, *found.written} if _is_state(name, structure))
        return Position(
            tuple(tasks),
            channels,
            channels & _empty(head, found.written),
            found.waiting_joins,
            kept,
        )

    async def _kept(
        self, thread_id: str, namespace: str, structure: GraphStructure | None, before: str | None
    ) -> dict[str, Position]:
        """The subgraphs that keep their state between two calls: their namespaces have no ids of tasks."""
        if structure is None or ":" in namespace:
            return {}
        subgraphs = {name: node.subgraph for name, node in structure.nodes.items() if node.subgraph is not None}
        below = f"{namespace}|" if namespace else ""
        found = await asyncio.gather(
            *(self._read(thread_id, f"{below}{name}", subgraph, before) for name, subgraph in subgraphs.items())
        )
        return {name: inside for name, inside in zip(subgraphs, found, strict=True) if inside is not None}

    async def _task(
        self,
        thread_id: str,
        namespace: str,
        structure: GraphStructure | None,
        found: FoundTask,
        kept: dict[str, Position],
    ) -> PendingTask:
        task = found.task
        node = None if structure is None else structure.nodes.get(task.node)
        if task.finished or not found.task_id or (node is not None and node.subgraph is None):
            return task
        inside = await self._read(
            thread_id, namespace_of_call(namespace, task.node, found.task_id), None if node is None else node.subgraph
        )
        if inside is None:
            inside = kept.get(task.node)
        return replace(task, inside=inside, started=task.started or inside is not None)


def _state_before(found: CheckpointTuple) -> str:
    """The id before which LangGraph looks for the states of subgraphs. What was written from outside a run has been
    stored after them, and belongs to the checkpoint on which it was written."""
    if found.metadata.get("source") in ("update", "fork") and found.parent_config is not None:
        return str(found.parent_config["configurable"]["checkpoint_id"])
    return found.checkpoint["id"]


def _is_state(channel: str, structure: GraphStructure | None) -> bool:
    if structure is not None:
        return channel in structure.channels
    is_reserved = channel.startswith("__") and channel.endswith("__") and channel not in _STATE_OF_LANGGRAPH
    return not is_own(channel) and not is_reserved


def _empty(head: CheckpointHead, written: set[str]) -> frozenset[str]:
    """A finished task may give a channel a value."""
    return head.empty - written
