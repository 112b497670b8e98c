"""Request bodies of assistants."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from slipway.api.bodies.body import Body, Configurable, Metadata, ObjectWithoutNul, Order, Uuid
from slipway.api.bodies.config import ConfigBody
from slipway.assistants.record import AssistantChanges
from slipway.graphs.official_sections import Whole
from slipway.protocol_types import Limit, Offset


class AssistantPatchBody(Body):
    """Creates a new version of an assistant. Metadata is merged. Every other member that is set replaces the
    value of the version before."""

    graph_id: str | None = None
    config: ConfigBody | None = None
    context: Configurable | None = None
    metadata: Metadata = {}
    name: str | None = None
    description: str | None = None

    def changes(self) -> AssistantChanges:
        return AssistantChanges(
            graph_id=self.graph_id,
            name=self.name,
            description=self.description,
            config=self.config.non_empty() if self.config else None,
            context=self.context,
            metadata=self.metadata,
        )


class AssistantBody(AssistantPatchBody):
    """Creates an assistant."""

    graph_id: str
    assistant_id: Uuid | None = None
    name: str = "Untitled"
    if_exists: Literal["raise", "do_nothing"] = "raise"


class AssistantVersionsBody(Body):
    """Lists a page of the versions, newest first."""

    metadata: ObjectWithoutNul | None = None
    limit: Limit = 10
    offset: Offset = 0


class AssistantLatestBody(Body):
    """Sets the current version."""

    version: Annotated[Whole, Field(ge=1, le=2**31)]


class AssistantFilterBody(Body):
    """Selects assistants. An assistant matches if its metadata contains `metadata` and its name contains `name`."""

    metadata: ObjectWithoutNul | None = None
    graph_id: str | None = None
    name: str | None = None


class AssistantSearchBody(AssistantFilterBody):
    limit: Limit = 10
    offset: Offset = 0
    sort_by: Literal["assistant_id", "graph_id", "name", "created_at", "updated_at"] = "created_at"
    sort_order: Order = "desc"
    select: (
        list[
            Literal[
                "assistant_id",
                "graph_id",
                "name",
                "description",
                "config",
                "context",
                "created_at",
                "updated_at",
                "metadata",
                "version",
            ]
        ]
        | None
    ) = None
