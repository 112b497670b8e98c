"""Refuses that a run continues from a state from which it would do again what its chain has done.

A retry from a named checkpoint repeats the calls of tools since that checkpoint. An edit of the state makes the
successors of a node next: of the node that was executed last, which repeats only what the interrupted superstep has
done; or of any other node, which may repeat all calls of the nodes that it leads to.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import CheckpointTuple
from langgraph.constants import START
from langgraph.types import StateSnapshot

from slipway.errors import WorkRepeated
from slipway.graphs.interface import Graph
from slipway.run_operations.made_calls import MadeCall, calls_since, sentence_of
from slipway.runs.audit import AuditTrail
from slipway.runs.record import Run
from slipway.runs.store import RunStore
from slipway.threads.graph_opener import ThreadGraphOpener
from slipway.threads.state_reader import read_history, read_state
from slipway.threads.store import ThreadStore

_FROM_THE_START: Final = ""
_MOST_STATES: Final = 1000
"""States of a thread in which jumps are looked for."""
_SOURCES: Final = {"__input__": START}
"""From where edges lead if LangGraph writes values as the input of a run."""

Edges = Mapping[str, set[str]]
"""By node: the nodes that follow it."""


@dataclass(frozen=True, slots=True)
class Repetitions:
    """Each method raises `WorkRepeated`."""

    runs: RunStore
    audit: AuditTrail
    threads: ThreadStore
    graphs: ThreadGraphOpener

    async def check_checkpoint(self, run: Run, checkpoint_id: str) -> None:
        """For a retry from a named checkpoint."""
        calls = await calls_since(self.runs, self.audit, run, checkpoint_id)
        if calls:
            raise _repeats(
                f"run {run.run_id} retried from checkpoint {checkpoint_id}",
                "Retry it from its last checkpoint, where they return their results.",
                calls,
            )

    async def check_edit(self, run: Run, as_node: str | None, newest: CheckpointTuple) -> None:
        """For an edit of the newest state. It also must not discard the results of nodes of the interrupted superstep
        that have finished."""
        async with self.graphs.for_reading(await self.threads.get(run.thread_id), None) as graph:
            state = await read_state(graph, newest.config)
            before = await _nodes_before(graph, newest)
            nodes = _writers(as_node, newest)
            goes_on = nodes <= {*state.next, *before}
            edges = {} if goes_on else _edges_of(graph)
            successors = set() if goes_on else await _reachable(graph, edges, newest, _successors(edges, nodes))
        discarded = {task.name for task in state.tasks if task.result is not None} - nodes
        calls = await calls_since(self.runs, self.audit, run, newest.checkpoint["id"] if goes_on else _FROM_THE_START)
        calls = [each for each in calls if each.root_node not in nodes and (goes_on or each.root_node in successors)]
        if calls or discarded:
            raise _repeats(
                f"the edit of the state of run {run.run_id}",
                "Edit it as the node that made the calls (as_node), or skip the node that has not finished.",
                calls,
                discarded,
            )

    async def check_state_writes(self, run: Run, own: CheckpointTuple, newest: CheckpointTuple) -> None:
        """For a retry from the newest checkpoint, which clients have written after `own`, the last one of the run."""
        async with self.graphs.for_reading(await self.threads.get(run.thread_id), None) as graph:
            following = set((await read_state(graph, newest.config)).next)
            goes_on = following == set((await read_state(graph, own.config)).next)
            again = following if goes_on else await _reachable(graph, _edges_of(graph), newest, following)
        start = own.checkpoint["id"] if goes_on else _FROM_THE_START
        calls = [each for each in await calls_since(self.runs, self.audit, run, start) if each.root_node in again]
        if calls:
            raise _repeats(
                f"run {run.run_id} retried from the state that was written after it",
                "Skip the node, or write the state as the node that made the calls.",
                calls,
            )


async def _nodes_before(graph: Graph, newest: CheckpointTuple) -> tuple[str, ...]:
    """The nodes of the superstep that led to the newest checkpoint."""
    parent: RunnableConfig | None = newest.parent_config
    state: StateSnapshot | None = None if parent is None else await read_state(graph, parent)
    return () if state is None else state.next


def _writers(as_node: str | None, newest: CheckpointTuple) -> set[str]:
    """The node as which an edit is written. If none is named, LangGraph takes the one that a channel triggered last,
    which is none of those that `Send` has started."""
    if as_node is not None:
        return {as_node}
    seen = {
        name: max(map(str, versions.values()))
        for name, versions in newest.checkpoint["versions_seen"].items()
        if versions and name not in ("__interrupt__", "__input__")
    }
    last = max(seen.values(), default="")
    return {name for name, version in seen.items() if version == last}


def _edges_of(graph: Graph) -> Edges:
    """LangGraph draws the graph for that, so it is done once."""
    edges: defaultdict[str, set[str]] = defaultdict(set)
    for edge in graph.get_graph().edges:
        edges[edge.source].add(edge.target)
    return edges


def _successors(edges: Edges, nodes: Iterable[str]) -> set[str]:
    """The nodes to which edges lead from these."""
    return {target for node in nodes for target in edges.get(_SOURCES.get(node, node), ())}


async def _reachable(graph: Graph, edges: Edges, newest: CheckpointTuple, nodes: Iterable[str]) -> set[str]:
    """These nodes, and those to which edges lead from them, or jumps that they have made before."""
    jumps = await _jumps(graph, edges, newest)
    found, following = set[str](), set(nodes)
    while following:
        found |= following
        jumped = {target for node in following for target in jumps.get(node, ())}
        following = (_successors(edges, following) | jumped) - found
    return found


async def _jumps(graph: Graph, edges: Edges, newest: CheckpointTuple) -> Edges:
    """The nodes that followed a node of the thread although no edge leads to them: the node has returned
    `Command(goto=…)`, of which the graph need not know."""
    thread: RunnableConfig = {
        "configurable": {"thread_id": newest.config["configurable"]["thread_id"], "checkpoint_ns": ""}
    }
    history = await read_history(graph, thread, filter=None, before=None, limit=_MOST_STATES)
    nodes_at = {_id_of(state.config): {task.name for task in state.tasks} for state in history}
    jumps: defaultdict[str, set[str]] = defaultdict(set)
    for state in history:
        before = nodes_at.get(_id_of(state.parent_config), set())
        targets = nodes_at[_id_of(state.config)] - _successors(edges, before)
        for node in before:
            jumps[node] |= targets
    return jumps


def _id_of(config: RunnableConfig | None) -> str:
    return "" if config is None else str(config["configurable"].get("checkpoint_id", ""))


def _repeats(what: str, instead: str, calls: Collection[MadeCall], discarded: Collection[str] = ()) -> WorkRepeated:
    problems = [f"would make these calls of tools that write again: {sentence_of(calls)}"] if calls else []
    if discarded:
        problems.append(f"would discard the results of nodes that have finished: {', '.join(sorted(discarded))}")
    return WorkRepeated(
        f"{what} {' and '.join(problems)}. {instead} To continue all the same, set repeat (--repeat)",
        calls=[call.public() for call in calls],
        discarded=sorted(discarded),
    )
