"""The scripts that keep assistants, as typed calls. A version's content is one msgpack map; metadata in it is field →
JSON text, so that merging needs no JSON in Lua."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, TypedDict

import ormsgpack

from slipway.redis.script_source import load
from slipway.redis.script_stubs import ScriptStubs

_CREATE = load("assistant_create")
_PATCH = load("assistant_patch")
_CHOOSE = load("assistant_set_version")
_DELETE = load("assistant_delete")
_MEMBERS = load("assistant_members")
_SYSTEM_SINCE = load("system_assistant_created")

RECORD: Final = ("created_us", "updated_us", "version", "content")
"""What is read of an assistant, in this order."""


class Content(TypedDict, total=False):
    """What a version holds. `config` and `context` are JSON texts; a description that is absent is null."""

    graph_id: str
    name: str
    description: str
    config: str
    context: str
    metadata: dict[str, str]
    created_us: str


Record = Sequence[bytes | None]
"""The fields of `RECORD`."""


class AssistantScripts(ScriptStubs):
    """On one pipeline, under one prefix; one round trip a call."""

    async def create(self, assistant_id: str, content: Content, token: str) -> tuple[Record | None, bool]:
        """The record of the new assistant; or None for one that exists, and whether the same `token` made it."""
        args = self._args(assistant_id=assistant_id, content=content, token=token, record=RECORD)
        word, answer = await self._pipeline.run(_CREATE, [], args)
        return (answer, True) if word == b"ok" else (None, answer == token.encode())

    async def write_members(self, assistant_id: str) -> None:
        """Store the metadata of an assistant once more as the fields that filters read, where they are out of date."""
        await self._pipeline.run(_MEMBERS, [], self._args(assistant_id=assistant_id))

    async def patch(
        self, assistant_id: str, changes: Content, metadata: Mapping[str, str], token: str
    ) -> Record | None:
        """The record with its new version, or None when there is no such assistant."""
        args = self._args(assistant_id=assistant_id, changes=changes, metadata=metadata, token=token, record=RECORD)
        reply = await self._pipeline.run(_PATCH, [], args)
        return reply[1] if len(reply) > 1 else None

    async def choose(self, assistant_id: str, version: int) -> tuple[str, Record | None]:
        """("ok", record), ("missing", None) or ("no_version", None)."""
        reply = await self._pipeline.run(
            _CHOOSE, [], self._args(assistant_id=assistant_id, version=version, record=RECORD)
        )
        return reply[0].decode(), reply[1] if len(reply) > 1 else None

    async def delete(self, assistant_id: str) -> bool:
        """Whether there was such an assistant."""
        reply = await self._pipeline.run(_DELETE, [], self._args(assistant_id=assistant_id))
        return bool(reply[0] == b"ok")

    async def system_since(self, graph_id: str) -> int:
        """When this deployment first had the graph, in µs since the epoch."""
        return int(await self._pipeline.run(_SYSTEM_SINCE, [], self._args(graph_id=graph_id)))


def content_of(packed: bytes) -> dict[str, Any]:
    """A version's content. Lua cannot tell an empty map from an empty list."""
    content: dict[str, Any] = ormsgpack.unpackb(packed)
    return content | {"metadata": content.get("metadata") or {}}
