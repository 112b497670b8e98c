"""Every assistant that a request can name: the system assistants of all graphs, and those that clients created.

Wherever a request names an assistant by its id, it may give the name of a graph instead. The name stands for the
graph's system assistant.
"""

from __future__ import annotations

from typing import cast
from uuid import UUID

from langchain_core.runnables import RunnableConfig

from slipway.access.filters import MATCH_ALL, AccessFilter
from slipway.access.users import User, user_configurable
from slipway.assistants.record import Assistant, AssistantChanges, access_metadata_of_system
from slipway.assistants.search import AssistantQuery, AssistantSearch
from slipway.assistants.store import AssistantStore
from slipway.assistants.system import SystemAssistants, system_id
from slipway.errors import Conflict, InvalidRequest, NotFound
from slipway.graphs.interface import Graphs
from slipway.graphs.manifest import Manifest
from slipway.indexes.search import DEFAULT_MAX_CHECKS, Count, Found
from slipway.redis.keys import Keys
from slipway.redis.pipeline import Pipeline


class AllAssistants:
    """Resolves ids and names, and passes each operation to the system assistants or to the store."""

    def __init__(self, graphs: Graphs, pipeline: Pipeline, keys: Keys, *, max_checks: int = DEFAULT_MAX_CHECKS) -> None:
        self._graphs, self._stored = graphs, AssistantStore(pipeline, keys)
        self._search = AssistantSearch(pipeline, keys, max_checks=max_checks)
        self._system = SystemAssistants(graphs, self._stored)

    async def get(self, id_or_name: str, access_filter: AccessFilter = MATCH_ALL) -> Assistant:
        """The assistant of this id, or the system assistant of the graph of this name. Raises `InvalidRequest` for a
        text that is neither an id nor a name, `NotFound` (with the names of all graphs) when it does not exist or does
        not match the access filter, and `GraphUnavailable` for a graph that cannot be served."""
        graph_id = self._system.graph_of(id_or_name)
        if graph_id is None:
            found = await self._stored.get(self.resolve_id(id_or_name), access_filter)
        else:
            system = await self._system.get(graph_id)
            found = system if access_filter.matches(access_metadata_of_system(system)) else None
        if found is None:
            raise self._not_found(id_or_name)
        return found

    async def check_access(self, assistant_id: str, access_filter: AccessFilter) -> None:
        """Raises `NotFound` unless this stored assistant matches the access filter. Reads only the metadata that the
        filter has conditions on; a filter without conditions costs no read."""
        if not await self._stored.matches(assistant_id, access_filter):
            raise self._not_found(assistant_id)

    def _not_found(self, id_or_name: str) -> NotFound:
        return NotFound("assistant", id_or_name, self._system.served_graphs())

    def resolve_id(self, id_or_name: str) -> str:
        """The assistant id that a request means. Raises `InvalidRequest` for a text that is neither an id nor the name
        of a graph."""
        if id_or_name in self._system.graphs():
            return system_id(id_or_name)
        if (assistant_id := _canonical_uuid(id_or_name)) is None:
            served = self._system.served_graphs()
            names = ", ".join(sorted(served)) or "none"
            problem = f"{id_or_name!r} is not a UUID, and a graph of this name was not found; existing graphs: {names}"
            raise InvalidRequest("assistant_id", problem, served)
        return assistant_id

    def is_system(self, assistant_id: str) -> bool:
        """Whether this is the id of a graph's system assistant, also when the graph cannot be served."""
        return self._system.has(assistant_id)

    async def manifest(self, assistant: Assistant, user: User | None = None) -> Manifest:
        """The manifest of its graph. A factory is called with the assistant's config, and with the user in it."""
        configurable = (assistant.config.get("configurable") or {}) | user_configurable(user)
        if not assistant.config and not configurable:
            return await self._graphs.manifest(assistant.graph_id, None)
        config = cast("RunnableConfig", assistant.config | {"configurable": configurable})
        return await self._graphs.manifest(assistant.graph_id, config)

    async def create(
        self,
        assistant_id: str,
        changes: AssistantChanges,
        *,
        token: str,
        exist_ok: bool,
        access_filter: AccessFilter = MATCH_ALL,
    ) -> Assistant:
        """Creates an assistant, or returns the existing one: see `AssistantStore.create`. Raises `NotFound` for an
        unknown graph."""
        assert changes.graph_id is not None
        self._system.check_graph(changes.graph_id)
        if (graph_id := self._system.graph_of(assistant_id)) is not None:
            if not exist_ok:
                self._system.check_is_not_system(assistant_id)
            system = await self._system.get(graph_id)
            if not access_filter.matches(access_metadata_of_system(system)):
                raise Conflict(f"assistant {assistant_id} exists already")
            return system
        return await self._stored.create(
            assistant_id, changes, token=token, exist_ok=exist_ok, access_filter=access_filter
        )

    async def patch(self, assistant_id: str, changes: AssistantChanges, *, token: str) -> Assistant:
        """Adds a version and makes it the current one. Raises `NotFound` for an unknown assistant or graph, and
        `RefusedRequest` for a system assistant."""
        self._system.check_is_not_system(assistant_id)
        if changes.graph_id is not None:
            self._system.check_graph(changes.graph_id)
        return await self._stored.patch(self.resolve_id(assistant_id), changes, token=token)

    async def delete(self, assistant_id: str) -> None:
        """Deletes the assistant with all versions. Raises `NotFound`, and `RefusedRequest` for a system assistant."""
        self._system.check_is_not_system(assistant_id)
        await self._stored.delete(self.resolve_id(assistant_id))

    async def versions(self, assistant_id: str) -> list[Assistant]:
        """Every version, newest first. Raises `NotFound`."""
        if (graph_id := self._system.graph_of(assistant_id)) is not None:
            return [await self._system.get(graph_id)]
        found = await self._stored.versions(self.resolve_id(assistant_id))
        if not found:
            raise NotFound("assistant", assistant_id)
        return found

    async def set_current_version(self, assistant_id: str, version: int) -> Assistant:
        """Makes a version the current one. Raises `NotFound` for an unknown assistant or version."""
        if (graph_id := self._system.graph_of(assistant_id)) is not None:
            if version != 1:
                raise NotFound("version", str(version))
            return await self._system.get(graph_id)
        return await self._stored.set_current_version(self.resolve_id(assistant_id), version)

    async def search(
        self,
        query: AssistantQuery,
        *,
        limit: int,
        offset: int,
        sort_by: str = "created_at",
        descending: bool = True,
    ) -> Found[Assistant]:
        """`limit` matching assistants from `offset` on. Raises `NotFound` for an unknown graph."""
        self._system.check_name(query.graph_id)
        system = await self._matching_system(query)
        skipped = max(offset - len(system), 0)  # as many stored ones come before the page, wherever the system ones are
        stored = await self._search.page(
            query, limit=limit + len(system), offset=skipped, sort_by=sort_by, descending=descending
        )
        found = sorted([*system, *stored.records], key=lambda each: str(getattr(each, sort_by)), reverse=descending)
        first = offset - skipped
        return Found(found[first : first + limit], stored.complete)

    async def count(self, query: AssistantQuery) -> Count:
        """How many assistants match. Raises `NotFound` for an unknown graph."""
        self._system.check_name(query.graph_id)
        stored = await self._search.count(query)
        return Count(stored.number + len(await self._matching_system(query)), stored.complete)

    async def _matching_system(self, query: AssistantQuery) -> list[Assistant]:
        return [each async for each in self._system.all(query.graph_id) if query.matches(each, is_system=True)]


def _canonical_uuid(text: str) -> str | None:
    """The UUID in lower case with hyphens, as ids are stored; None when the text is not one."""
    try:
        canonical = str(UUID(text))
    except ValueError:
        return None
    return canonical if canonical == text.lower() else None
