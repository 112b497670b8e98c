"""What is switched off, by whom, and why."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Any, Final

import orjson

from slipway.serialization.json_encoding import dumps


class Kind(StrEnum):
    """What a switch is for."""

    NODE = "node"
    """One node of a graph, also inside its subgraphs."""
    TOOL = "tool"
    """One tool, in all graphs."""
    GRAPH = "graph"
    """All runs of a graph. No new ones are accepted."""
    ALL = "all"
    """All runs of the deployment. New ones are accepted, and wait."""


@dataclass(frozen=True, slots=True)
class Target:
    """What can be switched off. `graph` is the graph of a node, `name` that of the node, the tool or the graph; both
    are empty where the kind has none."""

    kind: Kind
    name: str = ""
    graph: str = ""

    @property
    def key(self) -> str:
        """The name under which the switch is stored: `node:GRAPH:NODE`, `tool:TOOL`, `graph:GRAPH` or `all`. The names
        of nodes have no colon, so no two targets have the same key. `lib/switches.lua` builds the same."""
        return ":".join(part for part in (self.kind.value, self.graph, self.name) if part)

    def __str__(self) -> str:
        match self.kind:
            case Kind.NODE:
                return f"node {self.name!r} of graph {self.graph!r}"
            case Kind.ALL:
                return "everything"
        return f"{self.kind.value} {self.name!r}"

    @property
    def command_to_enable(self) -> str:
        """The command that switches it on."""
        if self.kind is Kind.ALL:
            return "slipway unpause"
        names = f"{self.graph} {self.name}" if self.graph else self.name
        return f"slipway {self.kind.value} enable {names}"


EVERYTHING: Final = Target(Kind.ALL)


@dataclass(frozen=True, slots=True)
class Switch:
    """A switch that is off."""

    target: Target
    by: str
    """Who switched it off: the actor in audit trails."""
    off_since: str
    """ISO 8601."""
    reason: str | None = None
    """The operator's text."""

    def __str__(self) -> str:
        why = f": {self.reason}" if self.reason else ""
        return f"{self.target} is switched off by {self.by}{why}"

    def public(self) -> dict[str, Any]:
        """The switch as clients receive it."""
        names = {"graph": self.target.graph, "name": self.target.name}
        members = {"kind": self.target.kind.value} | {name: text for name, text in names.items() if text}
        return members | {"off_since": self.off_since, "by": self.by, "reason": self.reason}

    def stored(self) -> str:
        """The stored form, as JSON. `pause_reason` is what runs that pause there show; scripts copy it."""
        pause_reason = f"{self}; to continue: {self.target.command_to_enable}"
        return dumps(self.public() | {"pause_reason": pause_reason}).decode()


def switch_from(stored: bytes) -> Switch:
    """The switch of a stored value."""
    members = orjson.loads(stored)
    target = Target(Kind(members["kind"]), members.get("name", ""), members.get("graph", ""))
    return Switch(target, members["by"], members["off_since"], members["reason"])


class OffSwitches:
    """All switches that are off at one moment. Immutable, so that any thread may read it."""

    def __init__(self, switches: Sequence[Switch] = ()) -> None:
        self.any = bool(switches)
        """Whether anything is off."""
        self._by_key = {switch.target.key: switch for switch in switches}
        nodes: dict[str, dict[str, Switch]] = defaultdict(dict)
        for switch in switches:
            if switch.target.kind is Kind.NODE:
                nodes[switch.target.graph][switch.target.name] = switch
        self._nodes: Mapping[str, Mapping[str, Switch]] = MappingProxyType(dict(nodes))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, OffSwitches) and self._by_key == other._by_key

    __hash__ = None  # type: ignore[assignment]

    def all(self) -> list[Switch]:
        """In the order of their keys."""
        return [self._by_key[key] for key in sorted(self._by_key)]

    def nodes_of(self, graph_id: str) -> Mapping[str, Switch]:
        """The nodes of a graph that are off, by name."""
        return self._nodes.get(graph_id, _NONE)

    def tool(self, name: str) -> Switch | None:
        """The switch of a tool; None if it is on."""
        return self._by_key.get(Target(Kind.TOOL, name).key) if self._by_key else None

    def graph(self, graph_id: str) -> Switch | None:
        """The switch of a graph; None if it is on."""
        return self._by_key.get(Target(Kind.GRAPH, graph_id).key) if self._by_key else None

    def runs_of(self, graph_id: str) -> Switch | None:
        """The switch for which the runs of a graph pause: that of the graph, or the one of everything."""
        return (self._by_key.get(Kind.ALL.value) or self.graph(graph_id)) if self._by_key else None


_NONE: Final[Mapping[str, Switch]] = MappingProxyType({})
NONE_OFF: Final = OffSwitches()
