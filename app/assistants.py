"""Assistants: a graph with stored config and context. Each graph has one from the start, the system assistant.

A system assistant's id is a function of its graph's name, so clients may compute it; everywhere an id is taken, the
name is too.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any, Final
from uuid import UUID, uuid5

from app.clock import Clock
from app.errors import GraphUnavailable, NotFound
from app.graphs import Graphs
from app.threads import contains

_NAMESPACE: Final = UUID("6ba7b821-9dad-11d1-80b4-00c04fd430c8")
"""The reference server's, so that ids agree."""


def system_id(graph_id: str) -> str:
    """The id of a graph's system assistant."""
    return str(uuid5(_NAMESPACE, graph_id))


@dataclass(frozen=True, slots=True)
class Assistant:
    """The record, in the protocol's words."""

    assistant_id: str
    graph_id: str
    name: str
    description: str | None
    created_at: str
    updated_at: str
    config: dict[str, Any] = field(default_factory=dict)
    context: dict[str, Any] = field(default_factory=dict)
    metadata: dict[str, Any] = field(default_factory=dict)
    version: int = 1

    def public(self) -> dict[str, Any]:
        """The protocol's Assistant object."""
        return asdict(self)


class AssistantStore:
    """The system assistants of all graphs that langgraph.json names."""

    def __init__(self, graphs: Graphs, clock: Clock | None = None) -> None:
        self._graphs = graphs
        self._since: datetime = (clock or Clock()).now()
        self._known: dict[str, Assistant] = {}

    async def get(self, id_or_name: str) -> Assistant:
        """The assistant with this id, or of the graph with this name. `NotFound` lists what exists;
        `GraphUnavailable` says why a graph cannot be served."""
        graph_id = self._graph_of(id_or_name)
        if graph_id not in self._known:
            self._known[graph_id] = await self._made(graph_id)
        return self._known[graph_id]

    def _graph_of(self, id_or_name: str) -> str:
        names = self._graphs.names()
        if id_or_name in names:
            return id_or_name
        failures = self._graphs.failures()
        for name in (*names, *failures):
            if id_or_name in (name, system_id(name)):
                if name in failures:
                    raise GraphUnavailable(f"graph {name!r} cannot be served: {failures[name]}")
                return name
        raise NotFound("assistant", id_or_name, names)

    async def _made(self, graph_id: str) -> Assistant:
        manifest = await self._graphs.manifest(graph_id)
        since = self._since.isoformat(timespec="microseconds")
        return Assistant(
            assistant_id=system_id(graph_id),
            graph_id=graph_id,
            name=manifest.name,
            description=manifest.description,
            created_at=since,
            updated_at=since,
            metadata={"created_by": "system"},
        )

    async def _all(self) -> AsyncIterator[Assistant]:
        for graph_id in self._graphs.names():
            with suppress(GraphUnavailable):  # a factory that fails hides its own assistant only
                yield await self.get(graph_id)

    async def search(
        self,
        *,
        metadata: dict[str, Any] | None = None,
        graph_id: str | None = None,
        name: str | None = None,
        sort_by: str = "created_at",
        descending: bool = True,
    ) -> list[Assistant]:
        """All that fit, in order: metadata by containment, `name` anywhere in the name, in any case. An unknown
        `graph_id` is `NotFound`."""
        if graph_id is not None and graph_id not in (*self._graphs.names(), *self._graphs.failures()):
            raise NotFound("graph", graph_id, self._graphs.names())
        every = [each async for each in self._all()]
        fitting = [
            assistant
            for assistant in every
            if graph_id in (None, assistant.graph_id)
            and contains(assistant.metadata, metadata or {})
            and (name or "").casefold() in assistant.name.casefold()
        ]
        return sorted(fitting, key=lambda assistant: str(getattr(assistant, sort_by)), reverse=descending)
