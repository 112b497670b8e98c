"""Checks that the nodes exist for which langgraph.json names model routes."""

from __future__ import annotations

from slipway.errors import ConfigError
from slipway.graphs.interface import Graphs
from slipway.graphs.known_graphs import known_graphs
from slipway.graphs.langgraph_json import LangGraphJson
from slipway.graphs.models_section import EVERY_NODE
from slipway.switches.node_gates import node_names
from slipway.value_problems import did_you_mean


async def check_nodes(config: LangGraphJson, graphs: Graphs) -> None:
    """Raises `ConfigError` for a node that is neither in a version of its graph nor in one of its subgraphs, with file
    and line. The nodes of a graph with a factory are not known before its runs."""
    for graph_id, by_node in config.models.by_graph.items():
        known = await known_graphs(graphs, graph_id)
        names = sorted(set().union(*map(node_names, known.graphs)))
        for node in by_node:
            if known.complete and node not in (EVERY_NODE, *names):
                path = ("slipway", "graphs", graph_id, "models", node)
                raise ConfigError(
                    f"{config.where(*path)}: {'.'.join(path)}: the graph has no such node{did_you_mean(node, names)} "
                    "(a graph that a function calls has the route of the node with that function)"
                )
