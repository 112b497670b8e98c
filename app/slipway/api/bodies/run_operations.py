"""Request bodies of operations on one run."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from slipway.api.bodies.body import StrictBody, WithoutNul
from slipway.protocol_types import JsonObject, Update
from slipway.runs.cancel_reasons import Action

MAX_REASON_CHARS = 1000


Reason = Annotated[str, Field(max_length=MAX_REASON_CHARS), WithoutNul]


class OperatorBody(StrictBody):
    """Why the operator does it."""

    reason: Reason | None = None


class ResumeBody(OperatorBody):
    """Resumes a run. With `version` it continues on this version of its graph, and on no other."""

    version: Annotated[str, Field(min_length=1)] | None = None


class OperatorCancelBody(OperatorBody):
    """Cancels a run. `rollback` deletes the run and its checkpoints."""

    action: Annotated[Action, Field(strict=False)] = Action.INTERRUPT


class RetryBody(OperatorBody):
    """Retries a run from its last checkpoint, or from the one that is named. `repeat` permits that tools that write act
    again. With `version` the new run executes on this version of its graph, and on no other."""

    checkpoint_id: Annotated[str, Field(min_length=1, max_length=200), WithoutNul] | None = None
    repeat: bool = False
    version: Annotated[str, Field(min_length=1)] | None = None


class SkipNodeBody(OperatorBody):
    """Skips a node that is next."""

    node: Annotated[str, Field(min_length=1, max_length=1000), WithoutNul]


class RaiseCeilingsBody(OperatorBody):
    """Raises ceilings (name to limit), and then continues the run if `resume` is true."""

    limits: JsonObject
    resume: bool = False


class EditStateBody(OperatorBody):
    """Writes `values` as if the node `as_node` had returned them, then continues the run unless `resume` is false.
    `repeat` permits that tools that write act again, and that results of nodes that have finished are discarded."""

    repeat: bool = False
    values: Update
    as_node: str | None = None
    resume: bool = True
