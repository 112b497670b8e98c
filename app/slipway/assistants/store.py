"""Creates, changes, reads and deletes the assistants of clients. Each change adds a version; versions never change."""

from __future__ import annotations

from slipway.access.filters import MATCH_ALL, AccessFilter
from slipway.assistants.reads import AssistantReads
from slipway.assistants.record import Assistant, AssistantChanges, assistant_from
from slipway.assistants.scripts import (
    AssistantCreated,
    AssistantNotFound,
    AssistantScripts,
    VersionNotFound,
    VersionSelected,
)
from slipway.clock import iso
from slipway.errors import Conflict, NotFound
from slipway.indexes.terms import metadata_terms
from slipway.redis.keys import Keys
from slipway.redis.pipeline import Pipeline
from slipway.serialization.json_encoding import json_members


class AssistantStore:
    """The stored assistants, by id. System assistants are not among them: see `SystemAssistants`."""

    def __init__(self, pipeline: Pipeline, keys: Keys) -> None:
        self._reads, self._scripts = AssistantReads(pipeline, keys), AssistantScripts(pipeline, keys)

    async def get(self, assistant_id: str, access_filter: AccessFilter = MATCH_ALL) -> Assistant | None:
        """The assistant; None when it does not exist or does not match the access filter. One read, or two when the
        filter has conditions."""
        if not await self.matches(assistant_id, access_filter):
            return None
        fields = await self._reads.record(assistant_id)
        return None if fields is None else assistant_from(assistant_id, fields)

    async def matches(self, assistant_id: str, access_filter: AccessFilter) -> bool:
        """Whether the assistant exists and matches the access filter. A filter without conditions costs no read and
        returns true, also for an unknown id."""
        if not access_filter:
            return True
        stored = await self._reads.filtered(assistant_id, access_filter)
        if stored is not None and not stored.up_to_date:
            await self._scripts.write_members(assistant_id)
            stored = await self._reads.filtered(assistant_id, access_filter)
        return stored is not None and access_filter.matches(stored.metadata)

    async def create(
        self,
        assistant_id: str,
        changes: AssistantChanges,
        *,
        token: str,
        exist_ok: bool,
        access_filter: AccessFilter = MATCH_ALL,
    ) -> Assistant:
        """Creates an assistant. If one of this id exists, returns it unchanged when it matches the access filter and
        either `exist_ok` is set or it was created with the same `token`. Otherwise raises `Conflict`."""
        metadata = json_members(dict(changes.metadata))
        content = changes.content(assistant_id) | {"metadata": metadata, "terms": metadata_terms(metadata)}
        content.setdefault("config", "{}")
        content.setdefault("context", "{}")
        while True:
            result = await self._scripts.create(assistant_id, content, token)
            if isinstance(result, AssistantCreated):
                return assistant_from(assistant_id, result.fields)
            if not ((result.by_same_request or exist_ok) and await self.matches(assistant_id, access_filter)):
                raise Conflict(f"assistant {assistant_id} exists already")
            if (existing := await self.get(assistant_id)) is not None:  # None: deleted in between, so create it again
                return existing

    async def patch(self, assistant_id: str, changes: AssistantChanges, *, token: str) -> Assistant:
        """Adds a version and makes it the current one. Raises `NotFound`."""
        metadata = json_members(dict(changes.metadata))
        fields = await self._scripts.patch(assistant_id, changes.content(assistant_id), metadata, token)
        if fields is None:
            raise NotFound("assistant", assistant_id)
        return assistant_from(assistant_id, fields)

    async def versions(self, assistant_id: str) -> list[Assistant]:
        """Every version, newest first; empty when the assistant does not exist."""
        versions = await self._reads.versions(assistant_id)
        return [assistant_from(assistant_id, fields, of_version=True) for fields in versions]

    async def set_current_version(self, assistant_id: str, version: int) -> Assistant:
        """Makes a stored version the current one. Raises `NotFound` for an unknown assistant or version."""
        match await self._scripts.set_current_version(assistant_id, version):
            case VersionSelected(fields):
                return assistant_from(assistant_id, fields)
            case VersionNotFound():
                raise NotFound("version", str(version))
            case AssistantNotFound():
                raise NotFound("assistant", assistant_id)

    async def delete(self, assistant_id: str) -> None:
        """Deletes the assistant with all versions. Raises `NotFound`."""
        if not await self._scripts.delete(assistant_id):
            raise NotFound("assistant", assistant_id)

    async def system_assistant_created_at(self, graph_id: str) -> str:
        """When this deployment first served the graph; stored on the first call."""
        return iso(await self._scripts.system_assistant_created_us(graph_id))
