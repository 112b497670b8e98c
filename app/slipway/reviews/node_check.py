"""Checks that the nodes exist for which langgraph.json names policies of reviews."""

from __future__ import annotations

from slipway.errors import ConfigError
from slipway.graphs.interface import Graphs
from slipway.graphs.known_graphs import known_graphs
from slipway.graphs.langgraph_json import LangGraphJson
from slipway.value_problems import did_you_mean


async def check_review_nodes(config: LangGraphJson, graphs: Graphs) -> None:
    """Raises `ConfigError` for a node that no version of its graph has, with file and line: its policy would apply to
    no question. The nodes of a graph with a factory are not known before its runs."""
    for graph_id, spec in config.graphs.items():
        if not spec.reviews.nodes:
            continue
        known = await known_graphs(graphs, graph_id)
        names = sorted({name for graph in known.graphs for name in graph.nodes if not name.startswith("__")})
        for node in spec.reviews.nodes:
            if known.complete and node not in names:
                path = ("slipway", "reviews", graph_id, "nodes", node)
                raise ConfigError(
                    f"{config.where(*path)}: {'.'.join(path)}: the graph has no such node{did_you_mean(node, names)} "
                    "(a question of a subgraph has the policy of the node that executes it)"
                )
