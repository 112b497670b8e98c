"""The structure of a graph: everything in it that stored threads, clients or operators depend on, as plain data.

It can be stored as JSON and compared without the graph's code. `structure_of` reads it from a compiled graph
(`read_structure.py`), `differences` compares two (`structure_diff.py`). Its fingerprint is a hash: graphs with equal
fingerprints can continue each other's threads.

Members with their default are left out of the JSON. So a member that a later release adds changes no fingerprint of a
graph that does not use it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final, Literal

from slipway.canonical_json import canonical_json

_SCHEMA_DIGITS: Final = 16


def schema_of(fingerprint: str) -> str:
    """The `schema` of a version: the first 16 hex digits of its fingerprint. Empty for an empty fingerprint."""
    return fingerprint[:_SCHEMA_DIGITS]


@dataclass(frozen=True, slots=True)
class ChannelStructure:
    """One state channel."""

    kind: str
    """The class of the channel, such as `LastValue`."""
    type: str
    """Its type as text (`annotation_text.describe`), `?` if it cannot be described."""
    required: bool = False
    """Whether the state class rejects a state without it."""
    reducer: str | None = None
    """The name of the function that combines writes."""

    def __str__(self) -> str:
        """How it combines writes, for people."""
        return self.kind if self.reducer is None else f"{self.kind} with reducer {self.reducer}"

    def combines_as(self, other: ChannelStructure) -> bool:
        """Whether both combine writes in the same way."""
        return (self.kind, self.reducer) == (other.kind, other.reducer)

    def to_json(self) -> dict[str, Any]:
        members: dict[str, Any] = {"kind": self.kind, "type": self.type}
        if self.required:
            members["required"] = True
        if self.reducer is not None:
            members["reducer"] = self.reducer
        return members

    @classmethod
    def from_json(cls, members: Mapping[str, Any]) -> ChannelStructure:
        return cls(members["kind"], members["type"], members.get("required", False), members.get("reducer"))


@dataclass(frozen=True, slots=True)
class NodeStructure:
    """One node."""

    triggers: tuple[str, ...]
    """The channels that start it, sorted."""
    pauses: tuple[str, ...] = ()
    """Where it can pause, in the order in which its code has it: `interrupt`, `task NAME`, `subgraph NAME`, and inside
    these `task NAME (interrupt, …)`; for the tools of a `ToolNode` `tool NAME: interrupt`. LangGraph matches stored
    answers and results with them by their order."""
    retries: tuple[str, ...] = ()
    """Its retry policies as text."""
    prompts: Mapping[str, str] = field(default_factory=dict)
    """The versions of the prompts that it declares, by name (`slipway.nodes`). Not part of the fingerprint."""
    models: tuple[str, ...] = ()
    """The models that it declares. Not part of the fingerprint."""
    subgraph: GraphStructure | None = None
    deferred: bool = False
    """Whether it starts when all other nodes have ended."""

    def to_json(self) -> dict[str, Any]:
        members: dict[str, Any] = {
            "triggers": list(self.triggers),
            "pauses": list(self.pauses),
            "retries": list(self.retries),
            "deferred": self.deferred,
            "prompts": dict(self.prompts),
            "models": list(self.models),
            "subgraph": None if self.subgraph is None else self.subgraph.to_json(),
        }
        return {name: value for name, value in members.items() if value}

    @classmethod
    def from_json(cls, members: Mapping[str, Any]) -> NodeStructure:
        subgraph = members.get("subgraph")
        return cls(
            triggers=tuple(members.get("triggers", ())),
            pauses=tuple(members.get("pauses", ())),
            retries=tuple(members.get("retries", ())),
            prompts=dict(members.get("prompts", {})),
            models=tuple(members.get("models", ())),
            subgraph=None if subgraph is None else GraphStructure.from_json(subgraph),
            deferred=members.get("deferred", False),
        )


@dataclass(frozen=True, slots=True, order=True)
class Edge:
    """What follows a node."""

    start: str
    """The node; for a join its nodes, sorted and joined with `+`."""
    end: str
    """`?` if a branch declares no targets."""
    kind: Literal["edge", "join", "branch"]
    label: str = ""
    """What the path function of a branch returns for this target."""

    def to_json(self) -> list[str]:
        return [self.start, self.end, self.kind, *([self.label] if self.label else [])]

    @classmethod
    def from_json(cls, members: list[Any]) -> Edge:
        return cls(*members)


@dataclass(frozen=True, slots=True)
class GraphStructure:
    """A graph with all its subgraphs."""

    api: Literal["graph", "functional"]
    """`functional` for `@entrypoint`."""
    channels: Mapping[str, ChannelStructure]
    nodes: Mapping[str, NodeStructure]
    edges: tuple[Edge, ...]
    """Sorted."""
    input: str = ""
    """The input, output and context schemas as text."""
    output: str = ""
    context: str = ""
    breakpoints: tuple[str, ...] = ()
    """`before NODE` and `after NODE`, sorted."""
    behaviour: str = ""
    """What the project declares for changes that no fingerprint can see. Only the outermost graph has it."""
    removed_channels: frozenset[str] = frozenset()
    """Channels that the project has removed deliberately: a thread between two runs may lose their values. Not part of
    the fingerprint, and not stored: it matters only in the process that serves the graph."""

    @property
    def fingerprint(self) -> str:
        """64 hex digits. Equal for graphs with equal structures, in every process and on every machine. Prompts, models
        and removed channels do not count. Computed in each call."""
        text = canonical_json(self._without_prompts_and_models().to_json())
        return hashlib.sha256(text.encode()).hexdigest()

    def to_json(self) -> dict[str, Any]:
        """As JSON data, without the removed channels."""
        members: dict[str, Any] = {
            "api": self.api,
            "channels": {name: channel.to_json() for name, channel in self.channels.items()},
            "nodes": {name: node.to_json() for name, node in self.nodes.items()},
            "edges": [edge.to_json() for edge in self.edges],
            "input": self.input,
            "output": self.output,
            "context": self.context,
            "breakpoints": list(self.breakpoints),
            "behaviour": self.behaviour,
        }
        return {name: value for name, value in members.items() if value}

    @classmethod
    def from_json(cls, members: Mapping[str, Any]) -> GraphStructure:
        """The structure whose `to_json` this is. Members that a later release has added are ignored."""
        return cls(
            api=members["api"],
            channels={name: ChannelStructure.from_json(each) for name, each in members.get("channels", {}).items()},
            nodes={name: NodeStructure.from_json(each) for name, each in members.get("nodes", {}).items()},
            edges=tuple(Edge.from_json(each) for each in members.get("edges", ())),
            input=members.get("input", ""),
            output=members.get("output", ""),
            context=members.get("context", ""),
            breakpoints=tuple(members.get("breakpoints", ())),
            behaviour=members.get("behaviour", ""),
        )

    def _without_prompts_and_models(self) -> GraphStructure:
        nodes = {
            name: replace(
                node,
                prompts={},
                models=(),
                subgraph=None if node.subgraph is None else node.subgraph._without_prompts_and_models(),
            )
            for name, node in self.nodes.items()
        }
        return replace(self, nodes=nodes)
