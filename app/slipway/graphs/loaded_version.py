"""One version of a graph after its source was imported."""

from __future__ import annotations

import asyncio
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from types import TracebackType

from slipway.graphs.builds import Build
from slipway.graphs.factories import Factory
from slipway.graphs.interface import Graph
from slipway.graphs.manifest import Manifest
from slipway.graphs.served_version import ServedVersion
from slipway.graphs.structure import GraphStructure, schema_of

FINGERPRINT_DIGITS_IN_NAME = 8


class OpenedGraph(AbstractAsyncContextManager[Graph]):
    """The context manager of a graph without a factory. It has no state of its own, so all runs share one object."""

    __slots__ = ("graph",)

    def __init__(self, graph: Graph) -> None:
        self.graph = graph

    async def __aenter__(self) -> Graph:
        return self.graph

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return None


@dataclass(slots=True, eq=False)
class LoadedVersion:
    """Either `opened`, `factory` or `failure` is set."""

    graph_id: str
    declared: str | None
    """The name in langgraph.json, if it names one."""
    source: str
    opened: OpenedGraph | None = None
    factory: Factory | None = None
    failure: str | None = None
    """Why it cannot be served."""
    structure: GraphStructure | None = None
    fingerprint: str = ""
    """That of `structure`."""
    identified: bool = False
    """Whether its structure was read, or cannot be read."""
    manifest: Manifest | None = None
    served: ServedVersion | None = None
    """Set when its name is known."""
    build: Build | None = None
    reading: asyncio.Lock = field(default_factory=asyncio.Lock)
    """Held while its structure or its manifest is read."""

    @property
    def schema(self) -> str:
        return schema_of(self.fingerprint)

    def set_structure(self, structure: GraphStructure | None) -> None:
        self.structure, self.identified = structure, True
        self.fingerprint = "" if structure is None else structure.fingerprint


def undeclared_name(release: str, fingerprint: str) -> str:
    """The name of a version that langgraph.json does not name: `RELEASE.FINGERPRINT`, without what is not known."""
    known = [part for part in (release, fingerprint[:FINGERPRINT_DIGITS_IN_NAME]) if part]
    return ".".join(known) or "unknown"


def is_undeclared_name(name: str, fingerprint: str) -> bool:
    """Whether `undeclared_name` has made this name for the fingerprint, of which the first digits are enough."""
    return bool(fingerprint) and name.rpartition(".")[2] == fingerprint[:FINGERPRINT_DIGITS_IN_NAME]
