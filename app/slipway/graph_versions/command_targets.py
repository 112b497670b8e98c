"""Refuses a run whose command goes to a node (`goto`) that no version of its graph has."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

from slipway.errors import InvalidRequest
from slipway.graph_versions.reads import VersionReads
from slipway.graph_versions.record import KnownVersions
from slipway.graphs.goto_targets import missing_targets, own_nodes, sentence_of, targets_of
from slipway.graphs.interface import Graphs

_NodesOfVersions = Mapping[str, frozenset[str]]


@dataclass(frozen=True, slots=True)
class CommandTargets:
    """Which version executes a run is certain only when a worker claims it, and then the attempt compares the command
    with that version. This check is for the client, who learns of a misspelt node at once."""

    graphs: Graphs
    reads: VersionReads
    read: Callable[[], Awaitable[KnownVersions]]
    """Reads what is registered."""

    async def check(self, graph_id: str, command: Mapping[str, Any] | None, version: str | None) -> None:
        """Raises `InvalidRequest` if no known version has one of the nodes; with a `version`, if that one lacks it.
        Does nothing if the nodes of a version are not known, because a factory builds it for each run. Reads nothing
        unless a node is missing in the versions of this process."""
        targets = targets_of(command)
        if not targets:
            return
        nodes = await self._of_process(graph_id)
        if nodes is None or not missing_targets(targets, _executed(nodes, version)):
            return
        nodes = await self._of_all(graph_id, nodes)
        if nodes is None or (version and version not in nodes):
            return
        known = _executed(nodes, version)
        if missing := missing_targets(targets, known):
            raise InvalidRequest("command.goto", sentence_of(missing, graph_id, version, known), own_nodes(known))

    async def _of_process(self, graph_id: str) -> _NodesOfVersions | None:
        found = {}
        for version in self.graphs.versions(graph_id):
            structure = await self.graphs.structure(graph_id, version.name)
            if structure is None or self.graphs.has_factory(graph_id, version.name):
                return None
            found[version.name] = frozenset(structure.nodes)
        return found

    async def _of_all(self, graph_id: str, loaded: _NodesOfVersions) -> _NodesOfVersions | None:
        others = [each for each in (await self.read()).of_graph(graph_id) if each.name not in loaded]
        structures = await self.reads.structures(each.schema for each in others)
        if any(each.schema not in structures for each in others):
            return None
        return {**loaded, **{each.name: frozenset(structures[each.schema].nodes) for each in others}}


def _executed(nodes: _NodesOfVersions, version: str | None) -> frozenset[str]:
    """The nodes of the version; without one, those of all versions."""
    return nodes.get(version, frozenset()) if version else frozenset().union(*nodes.values())
