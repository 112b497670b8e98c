"""What a process serves: the versions of each graph that it can execute, in the form in which scripts read it.

`lib/versions.lua` says what the form means. Workers that serve the same are a group: they share one list of tokens, so
that a worker waits for two keys however many versions there are.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any, Final

import ormsgpack

from slipway.graphs.interface import Graphs
from slipway.graphs.served_version import ServedVersion

GROUP_DIGITS: Final = 12
"""Hex digits of the id of a group."""


class ServedGraphs:
    """The versions of all graphs that this process has loaded. Empty until the first `refresh`."""

    def __init__(self, graphs: Graphs) -> None:
        self._graphs = graphs
        self._currents: Mapping[str, str] = {}
        self._ramping: Mapping[str, str] = {}
        self.packed: bytes = b""
        """The MessagePack map that scripts receive."""
        self.group: str = ""
        """The id of the group. It does not depend on rollouts, so that workers can wait for the same key."""

    def refresh(self, currents: Mapping[str, str] | None = None, ramping: Mapping[str, str] | None = None) -> None:
        """Reads the versions: those of graphs with factories are complete only after `Graphs.identify`.
        `currents` are the versions that rollouts name as current, by graph, and `ramping` those that ramp; None leaves
        them as they are."""
        self._currents = self._currents if currents is None else dict(currents)
        self._ramping = self._ramping if ramping is None else dict(ramping)
        self.packed = ormsgpack.packb({graph_id: self._graph(graph_id) for graph_id in self._graphs.names()})
        loaded = [(str(version), version.schema, version.build) for version in self.versions()]
        defaults = [self._graphs.default_version(graph_id) for graph_id in self._graphs.names()]
        self.group = hashlib.sha256(ormsgpack.packb([loaded, defaults])).hexdigest()[:GROUP_DIGITS]

    def versions(self) -> Sequence[ServedVersion]:
        """All of them; those of a graph from the oldest to the newest."""
        return [version for graph_id in self._graphs.names() for version in self._graphs.versions(graph_id)]

    def _graph(self, graph_id: str) -> dict[str, Any]:
        versions, current = self._graphs.versions(graph_id), self._currents.get(graph_id)
        default = self._graphs.default_version(graph_id) if current is None else current
        members: dict[str, Any] = {"versions": {each.name: (each.schema, each.build) for each in versions}}
        if default in members["versions"]:
            members["default"] = default
            if self._graphs.spec(graph_id).moves == "at-resume":
                members["at_resume"] = True
        if current is not None:
            members["current"] = current
        if graph_id in self._ramping:
            members["ramping"] = self._ramping[graph_id]
        return members
