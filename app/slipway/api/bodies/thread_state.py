"""Request bodies that read and write the state of a thread."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BeforeValidator, Field

from slipway.api.bodies.body import Body
from slipway.api.bodies.config import CheckpointBody
from slipway.protocol_types import CommandBody, JsonObject, Limit, Update

# threads


class StateUpdateBody(Body):
    """One update of a superstep to be replayed."""

    values: Update = None
    command: CommandBody | None = None
    as_node: str | None = None


class SuperstepBody(Body):
    """Updates that count as one superstep."""

    updates: list[StateUpdateBody] = Field(min_length=1)


class StateReadBody(Body):
    """The state at a checkpoint."""

    checkpoint: CheckpointBody
    subgraphs: bool = False
    select: list[str] = []


class StateWriteBody(Body):
    """A state to be written as if `as_node` had returned `values`."""

    values: Update = None
    as_node: str | None = None
    checkpoint: CheckpointBody | None = None
    checkpoint_id: str | None = None

    @property
    def start_from(self) -> JsonObject:
        """The checkpoint to fork from; empty for the latest."""
        place = self.checkpoint.public() if self.checkpoint else {}
        return place | ({"checkpoint_id": self.checkpoint_id} if self.checkpoint_id else {})


def _before(value: Any) -> Any:
    """A checkpoint id, a checkpoint, or a config: always the id."""
    if isinstance(value, dict):
        value = value.get("configurable", value)
        return value.get("checkpoint_id") if isinstance(value, dict) else value
    return value


class HistoryBody(Body):
    """A page of past states, newest first."""

    limit: Limit = 1
    before: Annotated[str | None, BeforeValidator(_before)] = None
    metadata: JsonObject | None = None
    checkpoint: CheckpointBody | None = None
    select: list[str] = []
