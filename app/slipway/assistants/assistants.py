"""Assistants: a graph with config and context. Each graph has one from the start, the system assistant; clients make
others, which are stored.

A system assistant's id is a function of its graph's name, so clients may compute it; everywhere an id is taken, the
name is too. Nothing is stored of it but since when it exists, so a run with it costs no read.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import suppress
from functools import cache
from typing import Any, Final, cast
from uuid import UUID, uuid5

from langchain_core.runnables import RunnableConfig

from slipway.access.filters import EVERYTHING, Filter
from slipway.access.users import User, told_to_graphs
from slipway.assistants.stored_assistants import Assistant, Changes, StoredAssistants, mirrored
from slipway.errors import Conflict, GraphUnavailable, InvalidRequest, NotFound, RefusedRequest
from slipway.graphs.manifest import Manifest
from slipway.graphs.served_graphs import Graphs
from slipway.json_containment import contains
from slipway.redis.keys import Keys
from slipway.redis.pipeline import Pipeline

_NAMESPACE: Final = UUID("6ba7b821-9dad-11d1-80b4-00c04fd430c8")
"""The reference server's, so that ids agree."""


@cache
def system_id(graph_id: str) -> str:
    """The id of a graph's system assistant."""
    return str(uuid5(_NAMESPACE, graph_id))


class AssistantStore:
    """The system assistants of all graphs that langgraph.json names, and those that clients made."""

    def __init__(self, graphs: Graphs, pipeline: Pipeline, keys: Keys) -> None:
        self._graphs, self._stored = graphs, StoredAssistants(pipeline, keys)
        self._known: dict[str, Assistant] = {}

    async def get(self, id_or_name: str, only: Filter = EVERYTHING) -> Assistant:
        """The assistant with this id, or of the graph with this name, if it is among `only` those. `InvalidRequest` for
        a text that is neither; `NotFound` lists what exists; `GraphUnavailable` for a graph that cannot be served."""
        graph_id = self._graph_of(id_or_name)
        if graph_id is None:
            found = await self._stored.get(self.id_of(id_or_name), only)
        else:
            system = await self._system(graph_id)
            found = system if only.fits(system.metadata) else None
        if found is None:
            raise self._unknown(id_or_name)
        return found

    async def check(self, assistant_id: str, only: Filter) -> None:
        """`NotFound` unless this assistant, which a client made, is among `only` those. Reads nothing where those are
        all, and never more than the metadata that `only` looks at."""
        if not await self._stored.fits(assistant_id, only):
            raise self._unknown(assistant_id)

    def _unknown(self, id_or_name: str) -> NotFound:
        return NotFound("assistant", id_or_name, self._graphs.names())

    def id_of(self, id_or_name: str) -> str:
        """The id that is meant: of a graph's name, that of its system assistant. `InvalidRequest` for a text that is
        neither an id nor a name."""
        if id_or_name in (*self._graphs.names(), *self._graphs.failures()):
            return system_id(id_or_name)
        if (ident := _canonical(id_or_name)) is None:
            known = self._graphs.names()
            names = ", ".join(sorted(known)) or "none yet"
            problem = f"{id_or_name!r} is no UUID, and a graph of this name was not found; there is {names}"
            raise InvalidRequest("assistant_id", problem, known)
        return ident

    def is_system(self, assistant_id: str) -> bool:
        """Whether this is the id of a graph's system assistant, also of one that cannot be served."""
        return any(assistant_id == system_id(name) for name in (*self._graphs.names(), *self._graphs.failures()))

    async def manifest(self, assistant: Assistant, user: User | None = None) -> Manifest:
        """What its graph is like; a factory is asked with the assistant's config, and told who asks."""
        told = (assistant.config.get("configurable") or {}) | told_to_graphs(user)
        config = cast("RunnableConfig", assistant.config | {"configurable": told}) if assistant.config or told else None
        return await self._graphs.manifest(assistant.graph_id, config)

    # changing

    async def create(
        self, assistant_id: str, given: Changes, *, token: str, exist_ok: bool, only: Filter = EVERYTHING
    ) -> Assistant:
        """A new one, or as `StoredAssistants.create`; one that exists is told of only if it is among `only` those.
        `NotFound` for an unknown graph."""
        assert given.graph_id is not None
        self._check_graph(given.graph_id)
        if (graph_id := self._graph_of(assistant_id)) is not None:
            if exist_ok and only.fits((system := await self._system(graph_id)).metadata):
                return system
            raise Conflict(f"assistant {assistant_id} exists already") if exist_ok else self._is_system(graph_id)
        return await self._stored.create(assistant_id, given, token=token, exist_ok=exist_ok, only=only)

    async def patch(self, assistant_id: str, given: Changes, *, token: str) -> Assistant:
        """A new version. `NotFound` for an unknown assistant or graph, `RefusedRequest` for a system assistant."""
        self._refuse_system(assistant_id)
        if given.graph_id is not None:
            self._check_graph(given.graph_id)
        return await self._stored.patch(self.id_of(assistant_id), given, token=token)

    async def delete(self, assistant_id: str) -> None:
        """Remove it with its versions. `NotFound`; `RefusedRequest` for a system assistant."""
        self._refuse_system(assistant_id)
        await self._stored.delete(self.id_of(assistant_id))

    async def versions(self, assistant_id: str) -> list[Assistant]:
        """Every version, newest first. `NotFound`."""
        if (graph_id := self._graph_of(assistant_id)) is not None:
            return [await self._system(graph_id)]
        found = await self._stored.versions(self.id_of(assistant_id))
        if not found:
            raise NotFound("assistant", assistant_id)
        return found

    async def choose(self, assistant_id: str, version: int) -> Assistant:
        """Make this version the present one. `NotFound` for an unknown assistant or version."""
        if (graph_id := self._graph_of(assistant_id)) is not None:
            if version != 1:
                raise NotFound("version", str(version))
            return await self._system(graph_id)
        return await self._stored.choose(self.id_of(assistant_id), version)

    # finding

    async def search(
        self,
        *,
        metadata: dict[str, Any] | None = None,
        graph_id: str | None = None,
        name: str | None = None,
        sort_by: str = "created_at",
        descending: bool = True,
        only: Filter = EVERYTHING,
    ) -> list[Assistant]:
        """All that fit, in order: metadata by containment, `name` anywhere in the name, in any case, and `only` what
        the caller may see. An unknown `graph_id` is `NotFound`."""
        if graph_id is not None and graph_id not in (*self._graphs.names(), *self._graphs.failures()):
            raise NotFound("graph", graph_id, self._graphs.names())
        fitting = [
            assistant
            async for assistant in self._all(graph_id)
            if contains(assistant.metadata, metadata or {})
            and only.fits(assistant.metadata)
            and (name or "").casefold() in assistant.name.casefold()
        ]
        return sorted(fitting, key=lambda assistant: str(getattr(assistant, sort_by)), reverse=descending)

    async def _all(self, graph_id: str | None) -> AsyncIterator[Assistant]:
        for each in self._graphs.names() if graph_id is None else [graph_id]:
            with suppress(GraphUnavailable):  # one that does not import hides its own assistant only
                yield await self._system(each)
        async for assistant in self._stored.all(graph_id):
            yield assistant

    # system assistants

    def _graph_of(self, id_or_name: str) -> str | None:
        """Whose system assistant this is, if it is one."""
        names = self._graphs.names()
        if id_or_name in names:
            return id_or_name
        failures = self._graphs.failures()
        for name in (*names, *failures):
            if id_or_name == name or id_or_name.lower() == system_id(name):
                if name in failures:
                    self._graphs.spec(name)  # raises `GraphUnavailable`
                return name
        return None

    async def _system(self, graph_id: str) -> Assistant:
        if graph_id not in self._known:
            try:
                manifest = await self._graphs.manifest(graph_id)
            except GraphUnavailable:  # a factory that wants a run's config; whether it serves runs, they find out
                return await self._made(graph_id, graph_id, self._graphs.spec(graph_id).description)
            self._known[graph_id] = await self._made(graph_id, manifest.name, manifest.description)
        return self._known[graph_id]

    async def _made(self, graph_id: str, name: str, description: str | None) -> Assistant:
        since = await self._stored.system_since(graph_id)
        config, context = mirrored(self._graphs.spec(graph_id).config, None)
        return Assistant(
            assistant_id=system_id(graph_id),
            graph_id=graph_id,
            name=name,
            description=description,
            created_at=since,
            updated_at=since,
            config=config or {},
            context=context or {},
            metadata={"created_by": "system"},
        )

    def _check_graph(self, graph_id: str) -> None:
        if graph_id not in self._graphs.names():
            self._graphs.spec(graph_id)  # says why

    def _refuse_system(self, assistant_id: str) -> None:
        if (graph_id := self._graph_of(assistant_id)) is not None:
            raise self._is_system(graph_id)

    @staticmethod
    def _is_system(graph_id: str) -> RefusedRequest:
        return RefusedRequest(
            f"the system assistant of graph {graph_id!r} is what langgraph.json says; create an assistant of your own"
        )


def _canonical(text: str) -> str | None:
    """A UUID with hyphens, as ids are stored; None when it is none."""
    try:
        ident = str(UUID(text))
    except ValueError:
        return None
    return ident if ident == text.lower() else None
