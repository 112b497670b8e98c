"""The script stubs of assistants. The content of a version is one MessagePack map. Its metadata is a map of member to
JSON text, so that Lua merges metadata without decoding JSON."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypedDict

import ormsgpack

from slipway.indexes.scripts import Index, IndexCheck, IndexWalk, Order
from slipway.indexes.terms import metadata_digests, metadata_terms
from slipway.redis.keys import Keys
from slipway.redis.pipeline import Pipeline
from slipway.redis.script_source import load
from slipway.redis.script_stubs import ScriptStubs

_CREATE = load("assistant_create")
_PATCH = load("assistant_patch")
_SET_VERSION = load("assistant_set_version")
_DELETE = load("assistant_delete")
_MEMBERS = load("assistant_members")
_SYSTEM_ASSISTANT_CREATED = load("system_assistant_created")

_SEARCH = load("assistant_search")
_INDEX_CHECK = load("assistant_index_check")

GRAPH: Final = "graph:"
"""The prefix of the names of sets of one graph each. No index term has a colon."""

RECORD_FIELDS: Final = ("created_us", "updated_us", "version", "content")
"""The fields that the stubs return, in this order."""


class Content(TypedDict, total=False):
    """The content of a version. `config` and `context` are JSON texts. Without `description` it is null."""

    graph_id: str
    name: str
    description: str
    config: str
    context: str
    metadata: dict[str, str]
    terms: str
    """The packed index terms of the metadata; older releases stored none."""
    created_us: str


AssistantFields = Sequence[bytes | None]
"""The values of the fields `RECORD_FIELDS`."""


@dataclass(frozen=True, slots=True)
class AssistantCreated:
    """The assistant is stored."""

    fields: AssistantFields


@dataclass(frozen=True, slots=True)
class AssistantExists:
    """An assistant with this id exists already. `by_same_request`: the same request created it,
    when it was sent earlier."""

    by_same_request: bool


@dataclass(frozen=True, slots=True)
class VersionSelected:
    """The version is the current one."""

    fields: AssistantFields


@dataclass(frozen=True, slots=True)
class AssistantNotFound:
    """The assistant does not exist."""


@dataclass(frozen=True, slots=True)
class VersionNotFound:
    """The assistant has no such version."""


class AssistantScripts(ScriptStubs):
    """Each method takes one round trip."""

    async def create(self, assistant_id: str, content: Content, token: str) -> AssistantCreated | AssistantExists:
        """Creates an assistant. A request that is sent again has the same `token`."""
        args = self._args(assistant_id=assistant_id, content=content, token=token, record=RECORD_FIELDS)
        status, reply = await self._pipeline.run(_CREATE, [], args)
        return AssistantCreated(reply) if status == b"ok" else AssistantExists(reply == token.encode())

    async def write_members(self, assistant_id: str) -> None:
        """Updates the fields with single metadata members, for access filters, if they are out of date."""
        await self._pipeline.run(_MEMBERS, [], self._args(assistant_id=assistant_id))

    async def patch(
        self, assistant_id: str, changes: Content, metadata: Mapping[str, str], token: str
    ) -> AssistantFields | None:
        """Returns the record with its new version; None if the assistant does not exist."""
        args = self._args(
            assistant_id=assistant_id,
            changes=changes,
            metadata=metadata,
            members=metadata_digests(metadata),
            terms=metadata_terms(metadata),
            token=token,
            record=RECORD_FIELDS,
        )
        reply = await self._pipeline.run(_PATCH, [], args)
        return reply[1] if len(reply) > 1 else None

    async def set_current_version(
        self, assistant_id: str, version: int
    ) -> VersionSelected | AssistantNotFound | VersionNotFound:
        reply = await self._pipeline.run(
            _SET_VERSION, [], self._args(assistant_id=assistant_id, version=version, record=RECORD_FIELDS)
        )
        if reply[0] == b"missing":
            return AssistantNotFound()
        return VersionSelected(reply[1]) if reply[0] == b"ok" else VersionNotFound()

    async def delete(self, assistant_id: str) -> bool:
        """Returns whether the assistant existed."""
        reply = await self._pipeline.run(_DELETE, [], self._args(assistant_id=assistant_id))
        return bool(reply[0] == b"ok")

    async def system_assistant_created_us(self, graph_id: str) -> int:
        """When this deployment first served the graph, in µs since 1970."""
        return int(await self._pipeline.run(_SYSTEM_ASSISTANT_CREATED, [], self._args(graph_id=graph_id)))


def assistant_index_check(pipeline: Pipeline, keys: Keys) -> IndexCheck:
    """The check of the indexes of assistants."""
    return IndexCheck(pipeline, keys, _INDEX_CHECK)


def assistant_walk(pipeline: Pipeline, keys: Keys) -> IndexWalk:
    """A walk through the indexes of assistants. The sets have the name of an index term, or of a graph after `GRAPH`,
    and are ordered by `created_at`."""
    return IndexWalk(pipeline, keys, _ASSISTANT_INDEX, _SEARCH)


def _set_of(keys: Keys, name: str) -> str:
    graph_id = name.removeprefix(GRAPH)
    return keys.assistants_with(name) if graph_id == name else keys.graph_assistants(graph_id)


_ASSISTANT_INDEX: Final = Index(lambda keys: keys.assistants, _set_of)

ASSISTANT_ORDERS: Final = {
    "created_at": _ASSISTANT_INDEX.order,
    "updated_at": Order(lambda keys: keys.assistants_by("updated_at")),
    "assistant_id": Order(lambda keys: keys.assistants_by("assistant_id"), by_id=True),
    "name": Order(lambda keys: keys.assistants_by("name"), by_text=True),
    "graph_id": Order(lambda keys: keys.assistants_by("graph_id"), by_text=True),
}
"""The set of all assistants in each order by which a search can sort."""


def content_of(packed: bytes) -> dict[str, Any]:
    """Decodes the content of a version. Lua encodes an empty map as an empty list, which is corrected here."""
    content: dict[str, Any] = ormsgpack.unpackb(packed)
    return content | {"metadata": content.get("metadata") or {}}
