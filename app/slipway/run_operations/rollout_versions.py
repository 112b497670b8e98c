"""Finds the versions of a graph that can be rolled out, so that a misspelt name is an error and changes nothing."""

from __future__ import annotations

from slipway.errors import GraphUnavailable, NotFound
from slipway.graphs.interface import Graphs
from slipway.rollouts.changes import GraphVersions
from slipway.value_problems import did_you_mean


class VersionFinder:
    """The versions that this process knows."""

    def __init__(self, graphs: Graphs) -> None:
        self._graphs = graphs

    async def __call__(self, graph_id: str) -> GraphVersions:
        """Raises `NotFound` for an unknown graph."""
        try:
            spec = self._graphs.spec(graph_id)
        except GraphUnavailable:
            return GraphVersions(graph_id, ())
        except NotFound as unknown:
            names = unknown.known or []
            why = f"langgraph.json names no such graph{did_you_mean(graph_id, names)}"
            raise NotFound("graph", graph_id, why=why) from None
        declared = [version.name for version in spec.versions]
        served = [version.name for version in self._graphs.versions(graph_id)]
        return GraphVersions(graph_id, list(dict.fromkeys([*declared, *served])), spec.default_version)
