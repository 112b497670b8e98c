"""Gates before the nodes of a graph and of its subgraphs.

A gate stops the run before a node that is switched off, and lets a task that an operator has skipped end without a
result. Graphs have no gates until they need one, because each costs a call: `install_gates` is called when the first
node of a graph is switched off, and before an attempt with skipped tasks.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Iterator
from typing import Any

from langchain_core.runnables import Runnable, RunnableConfig
from langgraph.pregel import Pregel

from slipway.checkpoints.moved_ids import known_task
from slipway.graphs.interface import Graph
from slipway.switches.attempt_switches import CURRENT_SWITCHES

_START = "__start__"


class NodeGate(Runnable[Any, Any]):
    """Executes a node unless it is switched off or skipped."""

    def __init__(self, node: str, bound: Runnable[Any, Any]) -> None:
        self.node, self.bound = node, bound
        self.name = bound.name

    def invoke(self, input: Any, config: RunnableConfig | None = None, **kwargs: Any) -> Any:
        return None if self._is_skipped(config) else self.bound.invoke(input, config, **kwargs)

    async def ainvoke(self, input: Any, config: RunnableConfig | None = None, **kwargs: Any) -> Any:
        return None if self._is_skipped(config) else await self.bound.ainvoke(input, config, **kwargs)

    def stream(self, input: Any, config: RunnableConfig | None = None, **kwargs: Any) -> Iterator[Any]:
        if not self._is_skipped(config):
            yield from self.bound.stream(input, config, **kwargs)

    async def astream(self, input: Any, config: RunnableConfig | None = None, **kwargs: Any) -> AsyncIterator[Any]:
        if not self._is_skipped(config):
            async for chunk in self.bound.astream(input, config, **kwargs):
                yield chunk

    def _is_skipped(self, config: RunnableConfig | None) -> bool:
        """Raises `StoppedAtSwitch`."""
        switches = CURRENT_SWITCHES.get()
        if switches is None:
            return False
        if switches.skipped_tasks and _is_among(task_id_of(config), switches.skipped_tasks):
            return True
        switches.check_node(self.node)
        return False


def _is_among(task_id: str | None, skipped: Collection[str]) -> bool:
    """Whether a task is skipped, under the id that it has or had before its thread was moved."""
    return task_id is not None and not {task_id, known_task(task_id)}.isdisjoint(skipped)


def task_id_of(config: RunnableConfig | None) -> str | None:
    """The id of the task whose node receives this config: LangGraph's checkpoint namespace is `node:id|node:id`."""
    namespace = ((config or {}).get("metadata") or {}).get("langgraph_checkpoint_ns")
    return str(namespace).rpartition(":")[2] if namespace else None


def install_gates(graph: Graph) -> None:
    """From the next superstep on, the nodes of the graph and of its subgraphs have gates. A repeated call does
    nothing. All copies of the graph share its nodes, also those that execute now."""
    for each in _with_subgraphs(graph):
        for name, node in each.nodes.items():
            if name != _START and not isinstance(node.bound, NodeGate):
                node.bound = NodeGate(name, node.bound)
                node.__dict__.pop("node", None)  # built from `bound` when it was needed first


def node_names(graph: Graph) -> set[str]:
    """The names of all nodes that have a gate."""
    return {name for each in _with_subgraphs(graph) for name in each.nodes if name != _START}


def _with_subgraphs(graph: Graph) -> Iterator[Graph]:
    """The graph and the subgraphs that LangGraph finds in its nodes, each once."""
    found, waiting = set[int](), [graph]
    while waiting:
        each = waiting.pop()
        if id(each.nodes) in found:  # copies of a graph share their nodes, and a graph may contain itself
            continue
        found.add(id(each.nodes))
        yield each
        for node in each.nodes.values():
            waiting.extend(subgraph for subgraph in node.subgraphs or () if isinstance(subgraph, Pregel))
