"""Finds the versions of a graph that can be rolled out, so that a misspelt name is an error and changes nothing."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from slipway.errors import NotFound
from slipway.graphs.interface import Graphs
from slipway.graphs.spec import GraphSpec
from slipway.rollouts.changes import GraphVersions
from slipway.value_problems import did_you_mean


class VersionFinder:
    """The versions that langgraph.json declares, and those that `served` returns for a graph. `specs` are the graphs
    of langgraph.json by id."""

    def __init__(self, specs: Mapping[str, GraphSpec], served: Callable[[str], Sequence[str]] = lambda _: ()) -> None:
        self._specs, self._served = specs, served

    async def __call__(self, graph_id: str) -> GraphVersions:
        """Raises `NotFound` for an unknown graph."""
        spec = self._specs.get(graph_id)
        if spec is None:
            why = f"langgraph.json names no such graph{did_you_mean(graph_id, self._specs)}"
            raise NotFound("graph", graph_id, why=why)
        declared = [version.name for version in spec.versions]
        names = list(dict.fromkeys([*declared, *self._served(graph_id)]))
        return GraphVersions(graph_id, names, spec.default_version)


def served_by(graphs: Graphs) -> Callable[[str], Sequence[str]]:
    """The names of the versions of a graph that this process has loaded. Empty if it can serve none."""

    def served(graph_id: str) -> Sequence[str]:
        if graph_id not in graphs.names():
            return ()
        return [version.name for version in graphs.versions(graph_id)]

    return served
