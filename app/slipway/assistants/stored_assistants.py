"""Assistants that clients made: a graph with config, context and metadata, in versions that are never rewritten."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Final

import orjson

from slipway.access.filtered_reads import read_filtered
from slipway.access.filters import EVERYTHING, Filter
from slipway.assistants.scripts import RECORD, AssistantScripts, Content, Record, content_of
from slipway.clock import iso
from slipway.errors import Conflict, NotFound, RefusedRequest
from slipway.redis.keys import Keys
from slipway.redis.pipeline import Pipeline
from slipway.serialization.json_encoding import dumps, json_members

_PAGE: Final = 200


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

    def public_version(self) -> dict[str, Any]:
        """A row of its list of versions, which has no `updated_at`."""
        return {name: value for name, value in self.public().items() if name != "updated_at"}


@dataclass(frozen=True, slots=True)
class Changes:
    """What is given of an assistant; None leaves it as it is. Metadata is merged, the others replaced."""

    graph_id: str | None = None
    name: str | None = None
    description: str | None = None
    config: dict[str, Any] | None = None
    context: dict[str, Any] | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict)

    def content(self) -> Content:
        """As it is stored, without metadata. Config's configurable and context mirror each other."""
        config, context = mirrored(self.config, self.context)
        given: Content = {}
        if self.graph_id is not None:
            given["graph_id"] = self.graph_id
        if self.name is not None:
            given["name"] = self.name
        if self.description is not None:
            given["description"] = self.description
        if config is not None:
            given["config"] = dumps(config).decode()
        if context is not None:
            given["context"] = dumps(context).decode()
        return given


def mirrored(
    config: dict[str, Any] | None, context: dict[str, Any] | None
) -> tuple[dict[str, Any] | None, dict[str, Any] | None]:
    """`config.configurable` and `context` are one thing under two names: the one that is given fills the other.
    Raises `RefusedRequest` when both are."""
    configurable = (config or {}).get("configurable") or {}
    if configurable and context:
        raise RefusedRequest("give either context or config.configurable, not both: they mirror each other")
    if context:
        return (config or {}) | {"configurable": context}, context
    return config, context if config is None else configurable


class StoredAssistants:
    """Assistants in Redis, by their ids alone."""

    def __init__(self, pipeline: Pipeline, keys: Keys) -> None:
        self._pipeline, self._keys, self._scripts = pipeline, keys, AssistantScripts(pipeline, keys)

    async def get(self, assistant_id: str, only: Filter = EVERYTHING) -> Assistant | None:
        """The assistant; None when it does not exist or is not among `only` those. One read, and before it one of the
        metadata that `only` looks at, if it looks at any."""
        if not await self.fits(assistant_id, only):
            return None
        record = await self._pipeline.send("HMGET", self._keys.assistant(assistant_id), *RECORD, repeatable=True)
        return _assistant(assistant_id, record) if record[0] is not None else None

    async def fits(self, assistant_id: str, only: Filter) -> bool:
        """Whether the assistant exists and is among `only` those; true without a read where those are all."""
        if not only:
            return True
        key = self._keys.assistant(assistant_id)
        held = await read_filtered(self._pipeline, key, only, "updated_us", "members_at")
        if held.plain[0] != held.plain[1]:
            await self._scripts.write_members(assistant_id)
            held = await read_filtered(self._pipeline, key, only, "updated_us", "members_at")
        return held.plain[0] is not None and only.fits(held.metadata)

    async def create(
        self, assistant_id: str, given: Changes, *, token: str, exist_ok: bool, only: Filter = EVERYTHING
    ) -> Assistant:
        """A new one; the one that exists, untouched, if it is among `only` those and the same `token` made it or
        `exist_ok` is set; else `Conflict`."""
        content = given.content() | {"metadata": json_members(dict(given.metadata))}
        content.setdefault("config", "{}")
        content.setdefault("context", "{}")
        while True:
            record, mine = await self._scripts.create(assistant_id, content, token)
            if record is not None:
                return _assistant(assistant_id, record)
            if not ((mine or exist_ok) and await self.fits(assistant_id, only)):
                raise Conflict(f"assistant {assistant_id} exists already")
            if (existing := await self.get(assistant_id)) is not None:  # else it was deleted meanwhile and can be made
                return existing

    async def patch(self, assistant_id: str, given: Changes, *, token: str) -> Assistant:
        """A new version, which becomes the present one. `NotFound`."""
        changes, metadata = given.content(), json_members(dict(given.metadata))
        record = await self._scripts.patch(assistant_id, changes, metadata, token)
        if record is None:
            raise NotFound("assistant", assistant_id)
        return _assistant(assistant_id, record)

    async def versions(self, assistant_id: str) -> list[Assistant]:
        """Every version, newest first; none when there is no such assistant."""
        held = await self._pipeline.send("HGETALL", self._keys.assistant(assistant_id), repeatable=True)
        pairs = iter(held)
        stored = {name.decode(): value for name, value in zip(pairs, pairs, strict=True)}
        numbers = sorted((int(name[2:]) for name in stored if name.startswith("v:")), reverse=True)
        times = (stored.get("created_us"), stored.get("updated_us"))
        return [_assistant(assistant_id, (*times, b"%d" % n, stored[f"v:{n}"]), of_version=True) for n in numbers]

    async def choose(self, assistant_id: str, version: int) -> Assistant:
        """Make this version the present one, whole. `NotFound` for an unknown assistant or version."""
        word, record = await self._scripts.choose(assistant_id, version)
        if record is None:
            raise NotFound("version" if word == "no_version" else "assistant", str(version) or assistant_id)
        return _assistant(assistant_id, record)

    async def delete(self, assistant_id: str) -> None:
        """Remove it with its versions. `NotFound`."""
        if not await self._scripts.delete(assistant_id):
            raise NotFound("assistant", assistant_id)

    async def all(self, graph_id: str | None = None) -> AsyncIterator[Assistant]:
        """All, or those of one graph, newest first."""
        index = self._keys.assistants if graph_id is None else self._keys.graph_assistants(graph_id)
        start = 0
        while True:
            ids = await self._pipeline.send("ZREVRANGE", index, start, start + _PAGE - 1, repeatable=True)
            names = [ident.decode() for ident in ids]
            reads = [
                self._pipeline.send("HMGET", self._keys.assistant(name), *RECORD, repeatable=True) for name in names
            ]
            for name, read in zip(names, reads, strict=True):
                if (record := await read)[0] is not None:
                    yield _assistant(name, record)
            if len(names) < _PAGE:
                return
            start += _PAGE

    async def system_since(self, graph_id: str) -> str:
        """Since when this deployment has the graph's system assistant."""
        return iso(await self._scripts.system_since(graph_id))


def _assistant(assistant_id: str, record: Record, *, of_version: bool = False) -> Assistant:
    created_us, updated_us, version, packed = record
    assert created_us is not None
    assert updated_us is not None
    assert version is not None
    assert packed is not None
    content = content_of(packed)
    return Assistant(
        assistant_id=assistant_id,
        graph_id=content["graph_id"],
        name=content["name"],
        description=content.get("description"),
        created_at=iso(int(content["created_us"] if of_version else created_us)),
        updated_at=iso(int(updated_us)),
        config=orjson.loads(content["config"]),
        context=orjson.loads(content["context"]),
        metadata={name: orjson.loads(value) for name, value in content["metadata"].items()},
        version=int(version),
    )
