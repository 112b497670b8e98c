"""Finds what an operator wants to switch off, so that a misspelt name is an error and switches nothing off."""

from __future__ import annotations

from slipway.errors import GraphUnavailable, NotFound
from slipway.graphs.interface import Graphs
from slipway.switches.node_gates import node_names
from slipway.switches.record import Kind, Target
from slipway.tool_gateway.registry import ToolRegistry
from slipway.value_problems import did_you_mean


def graph_target(graphs: Graphs, graph_id: str) -> Target:
    """Raises `NotFound` for an unknown graph. A graph that cannot be served can be switched off."""
    _check_graph(graphs, graph_id)
    return Target(Kind.GRAPH, graph_id)


async def node_target(graphs: Graphs, graph_id: str, node: str) -> Target:
    """Raises `NotFound` for an unknown graph or node, and `GraphUnavailable`. The nodes are those of all versions of
    the graph and of their subgraphs; of a version that a factory builds, those that it builds without a config."""
    _check_graph(graphs, graph_id)
    names: set[str] = set()
    for version in graphs.versions(graph_id):
        async with graphs.open(graph_id, {}, "assistants.read", version=version.name) as graph:
            names |= node_names(graph)
    if node not in names:
        raise NotFound("node", node, why=f"graph {graph_id!r} has no such node{did_you_mean(node, sorted(names))}")
    return Target(Kind.NODE, node, graph_id)


def tool_target(tools: ToolRegistry, tool: str) -> Target:
    """Raises `NotFound` for a tool that is not registered, if the project registers any. Otherwise its graphs may call
    every tool."""
    if tools.tools and tool not in tools.tools:
        raise NotFound("tool", tool, why=f"the project has no such tool{did_you_mean(tool, sorted(tools.tools))}")
    return Target(Kind.TOOL, tool)


def _check_graph(graphs: Graphs, graph_id: str) -> None:
    try:
        graphs.spec(graph_id)
    except GraphUnavailable:
        return
    except NotFound as unknown:
        names = unknown.known or []
        why = f"langgraph.json names no such graph{did_you_mean(graph_id, names)}"
        raise NotFound("graph", graph_id, why=why) from None
