"""The tasks that a checkpoint starts in a graph, as LangGraph itself computes them, before the checkpoint is stored."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import BaseCheckpointSaver, Checkpoint, CheckpointTuple
from langgraph.pregel import Pregel
from langgraph.types import PregelTask

from slipway.graphs.interface import Graph, with_checkpointer


class UnstoredThread(BaseCheckpointSaver[str]):
    """A checkpointer with one checkpoint for each namespace, which are not stored yet."""

    def __init__(self, thread_id: str) -> None:
        super().__init__()
        self._thread_id = thread_id
        self._found: dict[str, CheckpointTuple] = {}

    def hold(self, namespace: str, checkpoint: Checkpoint, metadata: Mapping[str, Any]) -> None:
        """The newest checkpoint of a namespace."""
        config: RunnableConfig = {
            "configurable": {
                "thread_id": self._thread_id,
                "checkpoint_ns": namespace,
                "checkpoint_id": checkpoint["id"],
            }
        }
        self._found[namespace] = CheckpointTuple(config, checkpoint, metadata, None, [])  # type: ignore[arg-type]

    async def aget_tuple(self, config: RunnableConfig) -> CheckpointTuple | None:
        return self._found.get(config["configurable"].get("checkpoint_ns", ""))

    async def tasks(self, graph: Graph, namespace: str) -> Sequence[PregelTask]:
        """The tasks that the checkpoint of a namespace starts. `graph` is that of the root namespace. Raises what the
        classes of its state raise if they reject the values that a task reads."""
        target: RunnableConfig = {"configurable": {"thread_id": self._thread_id, "checkpoint_ns": namespace}}
        return (await with_checkpointer(graph, self).aget_state(target)).tasks


def subgraph_at(graph: Graph, namespace: str) -> Graph | None:
    """The graph of a namespace. None if it is not declared, as when code of a node or a tool calls it itself."""
    if not namespace:
        return graph
    return next(
        (
            found
            for _, found in graph.get_subgraphs(namespace=nodes_of(namespace), recurse=True)
            if isinstance(found, Pregel)
        ),
        None,
    )


def nodes_of(namespace: str) -> str:
    """The nodes that lead to a subgraph, separated by `|`: the namespace without the ids of tasks."""
    return "|".join(part.partition(":")[0] for part in namespace.split("|") if not part.isdigit())
