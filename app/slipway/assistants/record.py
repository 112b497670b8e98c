"""The record of an assistant, and the changes that a request makes to it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import orjson

from slipway.assistants.scripts import AssistantFields, Content, content_of
from slipway.clock import iso
from slipway.errors import RefusedRequest
from slipway.protocol_types import SYSTEM_MARK
from slipway.serialization.at_rest import opened_json, sealed_json
from slipway.serialization.places import assistant_place


@dataclass(frozen=True, slots=True)
class Assistant:
    """One version of an assistant, in the protocol's words."""

    assistant_id: str
    """A UUID. Chosen by the client or the web process; computed for a system assistant. Never changes."""
    graph_id: str
    """The graph of this version."""
    name: str
    """A text for people. Need not be unique; a new version may have another."""
    description: str | None
    """A text for people. None if no request has set one."""
    created_at: str
    """When the assistant was created, as ISO 8601. In a list of versions: when this version was created."""
    updated_at: str
    """When the current version was created or set, as ISO 8601."""
    config: dict[str, Any] = field(default_factory=dict)
    """A RunnableConfig, over which each run puts its own. Empty if the assistant sets none."""
    context: dict[str, Any] = field(default_factory=dict)
    """What nodes read as `runtime.context`; `config.configurable` has the same members. Empty if the assistant sets
    none."""
    metadata: dict[str, Any] = field(default_factory=dict)
    """What clients wrote. A new version has the members of the version before it, with those of the request merged
    in."""
    version: int = 1
    """From 1. A changed assistant gets a new version with the next number."""

    def public(self) -> dict[str, Any]:
        """The protocol's Assistant object."""
        return asdict(self)

    def public_version(self) -> dict[str, Any]:
        """This version as clients receive it in a list of versions: an assistant without `updated_at`."""
        return {name: value for name, value in self.public().items() if name != "updated_at"}


def access_metadata_of_system(assistant: Assistant) -> dict[str, Any]:
    """The metadata of a system assistant that access filters check: no assistant of a client can have the mark."""
    return {**assistant.metadata, SYSTEM_MARK: True}


@dataclass(frozen=True, slots=True)
class AssistantChanges:
    """The members that a request sets. None keeps the stored value. Metadata is merged member by member; every other
    member is replaced."""

    graph_id: str | None = None
    name: str | None = None
    description: str | None = None
    config: dict[str, Any] | None = None
    context: dict[str, Any] | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict)

    def content(self, assistant_id: str) -> Content:
        """The changed members in their stored form, without metadata. Raises `RefusedRequest` as
        `config_and_context`."""
        config, context = config_and_context(self.config, self.context)
        place = assistant_place(assistant_id)
        content: Content = {}
        if self.graph_id is not None:
            content["graph_id"] = self.graph_id
        if self.name is not None:
            content["name"] = self.name
        if self.description is not None:
            content["description"] = self.description
        if config is not None:
            content["config"] = sealed_json(config, place)
        if context is not None:
            content["context"] = sealed_json(context, place)
        return content


def config_and_context(
    config: dict[str, Any] | None, context: dict[str, Any] | None
) -> tuple[dict[str, Any] | None, dict[str, Any] | None]:
    """Copies `context` to `config.configurable`, or the reverse: LangGraph reads the same values under both names.
    Raises `RefusedRequest` when both are given."""
    configurable = (config or {}).get("configurable") or {}
    if configurable and context:
        raise RefusedRequest("give either context or config.configurable, not both: they mirror each other")
    if context:
        return (config or {}) | {"configurable": context}, context
    return config, context if config is None else configurable


def assistant_from(assistant_id: str, fields: AssistantFields, *, of_version: bool = False) -> Assistant:
    """The record of stored fields. With `of_version` they are those of one entry in the list of versions, whose
    creation time is that of the version."""
    created_us, updated_us, version, packed = fields
    assert created_us is not None
    assert updated_us is not None
    assert version is not None
    assert packed is not None
    content, place = content_of(packed), assistant_place(assistant_id)
    return Assistant(
        assistant_id=assistant_id,
        graph_id=content["graph_id"],
        name=content["name"],
        description=content.get("description"),
        created_at=iso(int(content["created_us"] if of_version else created_us)),
        updated_at=iso(int(updated_us)),
        config=opened_json(content["config"].encode(), place),
        context=opened_json(content["context"].encode(), place),
        metadata={name: orjson.loads(value) for name, value in content["metadata"].items()},
        version=int(version),
    )
