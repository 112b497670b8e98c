"""System assistants: each graph of langgraph.json has one that no client has created.

Its id is a function of the graph's name, so clients can compute it. Of its fields only the creation time is stored: a
run with a system assistant reads nothing.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import suppress
from functools import cache, cached_property
from typing import Final
from uuid import UUID, uuid5

from slipway.assistants.record import Assistant, config_and_context
from slipway.assistants.store import AssistantStore
from slipway.errors import GraphUnavailable, NotFound, RefusedRequest
from slipway.graphs.interface import Graphs

_NAMESPACE: Final = UUID("6ba7b821-9dad-11d1-80b4-00c04fd430c8")
"""The namespace of the reference server, so that both servers compute the same ids."""


@cache
def system_id(graph_id: str) -> str:
    """The id of a graph's system assistant."""
    return str(uuid5(_NAMESPACE, graph_id))


class SystemAssistants:
    """One assistant for each graph. Each is built once in a process, when its graph's manifest was read."""

    def __init__(self, graphs: Graphs, store: AssistantStore) -> None:
        self._graphs, self._store = graphs, store
        self._cached: dict[str, Assistant] = {}

    def served_graphs(self) -> list[str]:
        """The ids of the graphs that can be served."""
        return list(self._graphs.names())

    def graphs(self) -> list[str]:
        """The ids of all graphs of langgraph.json, also of those that cannot be served."""
        return [*self._graphs.names(), *self._graphs.failures()]

    def check_graph(self, graph_id: str) -> None:
        """Raises `NotFound` for a graph that langgraph.json does not name, `GraphUnavailable` for one that cannot be
        served."""
        if graph_id not in self._graphs.names():
            self._graphs.spec(graph_id)

    def check_name(self, graph_id: str | None) -> None:
        """Raises `NotFound` for a graph that langgraph.json does not name."""
        if graph_id is not None and graph_id not in self.graphs():
            raise NotFound("graph", graph_id, self._graphs.names())

    def graph_of(self, id_or_name: str) -> str | None:
        """The graph whose id, or whose system assistant's id, this is. Raises `GraphUnavailable` if the graph cannot be
        served."""
        if id_or_name in self._graphs.names():
            return id_or_name
        for graph_id in self.graphs():
            if id_or_name == graph_id or id_or_name.lower() == system_id(graph_id):
                self.check_graph(graph_id)
                return graph_id
        return None

    def has(self, assistant_id: str) -> bool:
        """Whether this is the id of a graph's system assistant, also when the graph cannot be served."""
        return assistant_id in self._ids

    @cached_property
    def _ids(self) -> frozenset[str]:
        """The ids of all system assistants. The graphs of a process never change."""
        return frozenset(map(system_id, self.graphs()))

    def check_is_not_system(self, id_or_name: str) -> None:
        """Raises `RefusedRequest` for a system assistant: clients cannot change it."""
        if (graph_id := self.graph_of(id_or_name)) is not None:
            raise RefusedRequest(
                f"the system assistant of graph {graph_id!r} is defined by langgraph.json and cannot be changed; "
                "create an assistant of your own"
            )

    async def get(self, graph_id: str) -> Assistant:
        """The system assistant of a graph. Raises `GraphUnavailable`."""
        if graph_id not in self._cached:
            try:
                manifest = await self._graphs.manifest(graph_id)
            except GraphUnavailable:  # its factory needs the config of a run, so runs may work
                return await self._build(graph_id, graph_id, self._graphs.spec(graph_id).description)
            self._cached[graph_id] = await self._build(graph_id, manifest.name, manifest.description)
        return self._cached[graph_id]

    async def all(self, graph_id: str | None) -> AsyncIterator[Assistant]:
        """The system assistants of all graphs that can be served, or of one graph."""
        for each in self._graphs.names() if graph_id is None else [graph_id]:
            with suppress(GraphUnavailable):  # a graph that fails to import hides its own assistant only
                yield await self.get(each)

    async def _build(self, graph_id: str, name: str, description: str | None) -> Assistant:
        created_at = await self._store.system_assistant_created_at(graph_id)
        config, context = config_and_context(self._graphs.spec(graph_id).config, None)
        return Assistant(
            assistant_id=system_id(graph_id),
            graph_id=graph_id,
            name=name,
            description=description,
            created_at=created_at,
            updated_at=created_at,
            config=config or {},
            context=context or {},
            metadata={"created_by": "system"},
        )
