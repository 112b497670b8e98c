"""What the runs of one version of a graph are made from: the build of the version."""

from __future__ import annotations

import hashlib
import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Final

from slipway.canonical_json import canonical_json
from slipway.graphs.structure import GraphStructure
from slipway.versions import version_of

BUILD_DIGITS: Final = 12
"""Hex digits of the id of a build."""


@dataclass(frozen=True, slots=True)
class BuildParts:
    """What all graphs of a process share, and langgraph.json does not say alone."""

    tools: Mapping[str, str] = field(default_factory=dict)
    """The fingerprints of the definitions of tools, by name of the tool."""
    routes: Mapping[str, Mapping[str, Sequence[str]]] = field(default_factory=dict)
    """By graph and node: the models that are tried, in order. The node `*` stands for all others."""
    formats: Mapping[str, int] = field(default_factory=dict)
    """The numbers of the stored formats that this release writes, such as `layout` and `checkpoint`."""


@dataclass(frozen=True, slots=True)
class Build:
    """Plain data: it is stored in Redis once, under its id."""

    graph: str
    version: str
    fingerprint: str
    """64 hex digits. Empty if the graph is known only when a run opens it."""
    release: str
    """Of the project. Empty if nothing names it."""
    slipway: str
    langgraph: str
    python: str
    prompts: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    """By node: the versions of its prompts by name."""
    models: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """By node: the models that its code declares."""
    routes: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """By node: the models that langgraph.json or the setting `model` names for it, in the order in which they are
    tried. The node `*` stands for all others."""
    tools: Mapping[str, str] = field(default_factory=dict)
    """The fingerprints of the definitions of tools, by name."""
    formats: Mapping[str, int] = field(default_factory=dict)
    """The numbers of the stored formats that this release writes."""

    @property
    def id(self) -> str:
        """12 hex digits: equal for equal builds, on every machine. Computed in each call."""
        return hashlib.sha256(canonical_json(self.to_json()).encode()).hexdigest()[:BUILD_DIGITS]

    def to_json(self) -> dict[str, Any]:
        """As JSON data, without members that are empty."""
        return {name: value for name, value in asdict(self).items() if value}

    @classmethod
    def from_json(cls, members: Mapping[str, Any]) -> Build:
        """The build whose `to_json` this is. Members that a later release has added are ignored."""
        required = dict.fromkeys(("graph", "version", "fingerprint", "release", "slipway", "langgraph", "python"), "")
        return cls(**required | {name: value for name, value in members.items() if name in cls.__slots__})


def build_of(graph_id: str, version: str, structure: GraphStructure | None, release: str, parts: BuildParts) -> Build:
    """The build of a version with this structure, of this process."""
    nodes = {} if structure is None else structure.nodes
    return Build(
        graph=graph_id,
        version=version,
        fingerprint="" if structure is None else structure.fingerprint,
        release=release,
        slipway=version_of("slipway"),
        langgraph=version_of("langgraph"),
        python=platform.python_version(),
        prompts={name: dict(node.prompts) for name, node in nodes.items() if node.prompts},
        models={name: list(node.models) for name, node in nodes.items() if node.models},
        routes={node: list(models) for node, models in parts.routes.get(graph_id, {}).items()},
        tools=dict(parts.tools),
        formats=dict(parts.formats),
    )
