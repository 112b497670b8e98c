"""Finds the versions of a graph that can be rolled out, so that a misspelt name is an error and changes nothing; and
what still needs a version."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping

from slipway.errors import NotFound
from slipway.graph_versions.needs_reads import NeedsReads, VersionNeeds
from slipway.graph_versions.record import KnownVersions
from slipway.graphs.spec import GraphSpec
from slipway.rollouts.changes import GraphVersions
from slipway.value_problems import did_you_mean


class VersionFinder:
    """The versions that processes have registered, and those that langgraph.json declares. `specs` are the graphs of
    langgraph.json by id, `read` reads what is registered."""

    def __init__(self, specs: Mapping[str, GraphSpec], read: Callable[[], Awaitable[KnownVersions]]) -> None:
        self._specs, self._read = specs, read

    async def __call__(self, graph_id: str) -> GraphVersions:
        """Raises `NotFound` for an unknown graph."""
        spec = self._specs.get(graph_id)
        if spec is None:
            why = f"langgraph.json names no such graph{did_you_mean(graph_id, self._specs)}"
            raise NotFound("graph", graph_id, why=why)
        known = await self._read()
        registered = [version.name for version in known.of_graph(graph_id)]
        declared = [version.name for version in spec.versions]
        names = list(dict.fromkeys([*registered, *declared]))
        workers = {name: len(known.workers_of(graph_id, name)) for name in names}
        old = frozenset(name for name in names if not workers[name]) - {*declared}
        return GraphVersions(graph_id, names, spec.default_version, workers, old)


class VersionNeed:
    """What still needs a version. `specs` are the graphs of langgraph.json by id."""

    def __init__(self, specs: Mapping[str, GraphSpec], reads: NeedsReads) -> None:
        self._specs, self._reads = specs, reads

    async def __call__(self, graph_id: str, version: str) -> bool:
        """Whether runs or threads still need it."""
        return (await self.of(graph_id, version)).total > 0

    async def of(self, graph_id: str, version: str) -> VersionNeeds:
        """What needs it. Takes one round trip for each 500 runs that have not ended."""
        spec = self._specs.get(graph_id)
        return await self._reads.needs(graph_id, version, pinned=spec is not None and spec.moves == "pinned")
