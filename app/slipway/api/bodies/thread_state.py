"""Request bodies that read and write the state of a thread."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BeforeValidator, Field

from slipway.api.bodies.body import Body, ObjectWithoutNul
from slipway.api.bodies.config import CheckpointBody
from slipway.protocol_types import CommandBody, JsonObject, Limit, Update


class StateUpdateBody(Body):
    """One state update of a superstep."""

    values: Update = None
    command: CommandBody | None = None
    as_node: str | None = None


class SuperstepBody(Body):
    """State updates that are written as one superstep."""

    updates: list[StateUpdateBody] = Field(min_length=1)


class StateReadBody(Body):
    """Reads the state at a checkpoint."""

    checkpoint: CheckpointBody
    subgraphs: bool = False
    select: list[str] = []


class StateWriteBody(Body):
    """Writes a state as if the node `as_node` had returned `values`."""

    values: Update = None
    as_node: str | None = None
    checkpoint: CheckpointBody | None = None
    checkpoint_id: str | None = None

    @property
    def start_checkpoint(self) -> JsonObject:
        """The reference of the checkpoint to fork from; empty for the latest."""
        reference = self.checkpoint.public() if self.checkpoint else {}
        return reference | ({"checkpoint_id": self.checkpoint_id} if self.checkpoint_id else {})


def _before(value: Any) -> Any:
    """The checkpoint id in `before`, which clients send as an id, as a checkpoint reference or as a config."""
    if isinstance(value, dict):
        value = value.get("configurable", value)
        return value.get("checkpoint_id") if isinstance(value, dict) else value
    return value


class HistoryBody(Body):
    """Reads a page of the history, newest state first."""

    limit: Limit = 1
    before: Annotated[str | None, BeforeValidator(_before)] = None
    metadata: ObjectWithoutNul | None = None
    checkpoint: CheckpointBody | None = None
    select: list[str] = []
