"""Checks that the nodes exist that rules of `slipway.grants` name: a rule that forbids a tool to a misspelt node would
have no effect. The nodes of a graph with a factory are known when a run opens the graph, and checked then."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from slipway.errors import ConfigError, GraphUnavailable
from slipway.graphs.interface import Graph, Graphs
from slipway.graphs.known_graphs import known_graphs
from slipway.graphs.langgraph_json import LangGraphJson
from slipway.graphs.served_version import ServedVersion
from slipway.tool_gateway.grants import ALL, NodePath
from slipway.value_problems import did_you_mean


@dataclass(frozen=True, slots=True)
class NamedNode:
    """A node in a rule."""

    where: str
    """File, line and key."""
    path: NodePath

    def problem_in(self, graph_id: str, known: Collection[NodePath]) -> str | None:
        """Why the rule would have no effect in a graph with these nodes. None for a node that exists, and for one of a
        subgraph that a function calls, whose nodes nobody knows."""
        for depth, name in enumerate(self.path):
            siblings = {each[depth] for each in known if len(each) > depth and each[:depth] == self.path[:depth]}
            if depth and not siblings:
                return None
            if name not in siblings:
                hint = did_you_mean(name, sorted(siblings))
                return f"{self.where}: there is no node {'/'.join(self.path)!r} in {graph_id!r}{hint}"
        return None


UncheckedNodes = Mapping[str, Sequence[NamedNode]]
"""By graph with a factory: the nodes of rules that each of its graphs must have."""


async def check_nodes_of_grants(config: LangGraphJson, graphs: Graphs) -> UncheckedNodes:
    """Raises `ConfigError` for a node that does not exist in a graph without a factory. Returns those that can be
    checked only when a graph is opened."""
    unchecked: defaultdict[str, list[NamedNode]] = defaultdict(list)
    for index, section in enumerate(config.tools.grants):
        if section.graph not in (ALL, *graphs.names()):
            continue
        about = graphs.names() if section.graph == ALL else [section.graph]
        factories = [each for each in about if _has_factory(graphs, each)]
        known = [path for each in about for path in await _nodes_of(graphs, each)]
        for place, text in enumerate(section.nodes or ()):
            path = ("slipway", "grants", index, "nodes", place)
            named = NamedNode(f"{config.where(*path)}: slipway.grants[{index}].nodes[{place}]", tuple(text.split("/")))
            problem = named.problem_in(section.graph, known)
            if problem is None:
                continue
            if not factories and not _failed(graphs, section.graph):
                raise ConfigError(problem)
            for each in factories if not section.if_present else ():
                unchecked[each].append(named)
    return unchecked


def check_made_graph(graph_id: str, graph: Graph, unchecked: UncheckedNodes) -> None:
    """Raises `GraphUnavailable` if a graph that a factory has made lacks a node that a rule names."""
    named = unchecked.get(graph_id)
    known = set(_paths(graph, ())) if named else set()
    for each in named or ():
        problem = each.problem_in(graph_id, known)
        if problem is not None:
            raise GraphUnavailable(
                f"{problem} (a factory has made this graph: correct the rule, or give it if_present if some graphs of "
                "the factory have no such node)"
            )


async def check_factories(graphs: Graphs, unchecked: UncheckedNodes) -> None:
    """The same for the graph that each factory makes without a config, as `ConfigError`. A factory that needs a config
    is not checked."""
    for graph_id in unchecked:
        for version in graphs.versions(graph_id):
            if graphs.has_factory(graph_id, version.name):
                await _check_factory(graphs, version, unchecked)


async def _check_factory(graphs: Graphs, version: ServedVersion, unchecked: UncheckedNodes) -> None:
    opened = graphs.open(version.graph_id, {}, "assistants.read", version=version.name)
    try:
        graph = await opened.__aenter__()
    except GraphUnavailable:
        return
    try:
        check_made_graph(version.graph_id, graph, unchecked)
    except GraphUnavailable as error:
        raise ConfigError(str(error)) from None
    finally:
        await opened.__aexit__(None, None, None)


def _has_factory(graphs: Graphs, graph_id: str) -> bool:
    return any(graphs.has_factory(graph_id, each.name) for each in graphs.versions(graph_id))


def _failed(graphs: Graphs, graph_id: str) -> bool:
    """Whether a graph that the rule is about, or a version of it, failed to load: the node may be there."""
    failed = {each.partition("@")[0] for each in graphs.failures()}
    return bool(failed) if graph_id == ALL else graph_id in failed


async def _nodes_of(graphs: Graphs, graph_id: str) -> list[NodePath]:
    """The nodes of all versions without a factory."""
    return [path for graph in (await known_graphs(graphs, graph_id)).graphs for path in _paths(graph, ())]


def _paths(graph: Graph, parent: NodePath) -> Iterable[NodePath]:
    """The paths of all nodes of a graph and of the subgraphs that LangGraph finds."""
    subgraphs = dict(graph.get_subgraphs())
    for name in graph.nodes:
        if name.startswith("__"):
            continue
        yield (*parent, name)
        if name in subgraphs:
            yield from _paths(subgraphs[name], (*parent, name))  # type: ignore[arg-type]
