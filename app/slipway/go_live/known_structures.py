"""The graphs of the project that are known before a run opens them, with their structures."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass

from langgraph.pregel import Pregel

from slipway.go_live.inputs import Inputs
from slipway.graphs.interface import Graph
from slipway.graphs.read_structure import structure_of
from slipway.graphs.structure import GraphStructure


@dataclass(frozen=True, slots=True)
class KnownStructure:
    """One version of a graph. Both are None if a factory builds the graph for each run."""

    graph_id: str
    version: str
    graph: Graph | None
    structure: GraphStructure | None

    @property
    def subject(self) -> str:
        return self.graph_id

    @property
    def loops(self) -> bool:
        """Whether a node can follow itself, in it or in a subgraph. True if that is not known: a branch without
        declared targets may lead anywhere."""
        return self.structure is None or _loops(self.structure)

    def pausing_nodes(self) -> dict[str, tuple[str, ...]]:
        """The nodes that ask people, with where they do. Those of subgraphs count for the node that executes them."""
        return {} if self.structure is None else _pausing(self.structure)

    def forgetful_nodes(self) -> list[str]:
        """The nodes that are subgraphs which ask people and have `checkpointer=False`. LangGraph does not count them as
        subgraphs, so they are in no structure."""
        nodes = {} if self.graph is None else self.graph.nodes
        return [
            name
            for name, node in nodes.items()
            if isinstance(node.bound, Pregel)
            and node.bound.checkpointer is False
            and _pausing(structure_of(node.bound))
        ]

    def retries(self) -> int:
        """The most tries that the retry policy of a node permits; 1 without policies."""
        return 1 if self.graph is None else _tries(self.graph)


async def known_structures(inputs: Inputs) -> AsyncIterator[KnownStructure]:
    """Each version that this process has loaded. Calls no factory."""
    graphs = inputs.loaded.graphs
    for graph_id in graphs.names():
        for version in graphs.versions(graph_id):
            structure = await graphs.structure(graph_id, version.name)
            if graphs.has_factory(graph_id, version.name):
                yield KnownStructure(graph_id, version.name, None, structure)
                continue
            async with graphs.open(graph_id, {}, "assistants.read", version=version.name) as graph:
                yield KnownStructure(graph_id, version.name, graph, structure)


def _loops(structure: GraphStructure) -> bool:
    follow: dict[str, set[str]] = {}
    for edge in structure.edges:
        for start in edge.start.split("+"):
            follow.setdefault(start, set()).add(edge.end)
    if any("?" in ends for ends in follow.values()):
        return True
    if any(_reaches(follow, end, start) for start, ends in follow.items() for end in ends):
        return True
    return any(_loops(node.subgraph) for node in structure.nodes.values() if node.subgraph is not None)


def _reaches(follow: Mapping[str, set[str]], start: str, wanted: str) -> bool:
    seen, todo = {start}, [start]
    while todo:
        node = todo.pop()
        if node == wanted:
            return True
        new = follow.get(node, set()) - seen
        seen |= new
        todo += new
    return False


def _pausing(structure: GraphStructure) -> dict[str, tuple[str, ...]]:
    found: dict[str, tuple[str, ...]] = {}
    for name, node in structure.nodes.items():
        pauses = tuple(each for each in node.pauses if "interrupt" in each)
        if node.subgraph is not None:
            pauses += tuple(each for inner in _pausing(node.subgraph).values() for each in inner)
        if pauses:
            found[name] = pauses
    return found


def _tries(graph: Graph) -> int:
    tries = [1]
    for node in graph.nodes.values():
        policies = node.retry_policy or graph.retry_policy or ()
        tries += [
            policy.max_attempts
            for policy in (policies if isinstance(policies, (list, tuple)) else [policies])
            if hasattr(policy, "max_attempts")
        ]
    return max(tries)
