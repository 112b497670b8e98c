"""Handler values of operations on assistants."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from slipway.access.filters import MATCH_ALL, AccessFilter
from slipway.access.handler_values.base import HandlerValue, Id, IfExists, Metadata, configurable_of, reserved_in_config
from slipway.graphs.official_sections import Whole
from slipway.protocol_types import JsonObject, Limit, Offset


class _AssistantFields(HandlerValue):
    STORES = True

    config: JsonObject | None = None
    context: JsonObject | None = None
    metadata: Metadata
    description: str | None = None

    def reserved_names(self, before: HandlerValue) -> list[tuple[str, list[str]]]:
        assert isinstance(before, _AssistantFields)
        return (
            super().reserved_names(before)
            + reserved_in_config("config.configurable", configurable_of(self.config), configurable_of(before.config))
            + reserved_in_config("context", self.context, before.context)
        )


class AssistantsCreate(_AssistantFields):
    OPERATION = "assistants:create"

    assistant_id: Id
    graph_id: str
    name: str
    if_exists: IfExists


class AssistantsRead(HandlerValue):
    """If `metadata` is not empty, only an assistant whose metadata contains it is found."""

    OPERATION = "assistants:read"
    FIXED = frozenset({"assistant_id"})

    assistant_id: Id
    metadata: Metadata = {}

    def record_filter(self) -> AccessFilter:
        return AccessFilter((self.metadata,)) if self.metadata else MATCH_ALL


class AssistantsUpdate(_AssistantFields):
    """A new version of an assistant is created. None leaves a field unchanged."""

    OPERATION = "assistants:update"
    FIXED = frozenset({"assistant_id", "version"})

    assistant_id: Id
    graph_id: str | None
    name: str | None
    version: None = None


class AssistantsSetVersion(HandlerValue):
    OPERATION = "assistants:update"
    FIXED = frozenset({"assistant_id"})

    assistant_id: Id
    version: Annotated[Whole, Field(ge=1, le=2**31)]


class AssistantsDelete(HandlerValue):
    OPERATION = "assistants:delete"
    FIXED = frozenset({"assistant_id"})

    assistant_id: Id


class AssistantsSearch(HandlerValue):
    OPERATION = "assistants:search"

    graph_id: str | None
    metadata: Metadata
    limit: Limit
    offset: Offset


class AssistantsCount(AssistantsSearch):
    """Assistants are counted. `limit` and `offset` have no effect on a count."""

    FIXED = frozenset({"limit", "offset"})

    limit: Offset = 0
    offset: Offset = 0
