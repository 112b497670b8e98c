"""Request bodies of operations on one run."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, Field

from slipway.api.bodies.body import Body
from slipway.runs.cancel_reasons import Action
from slipway.serialization.json_encoding import has_nul

MAX_REASON_CHARS = 1000


def _without_nul(text: str) -> str:
    if has_nul(text):
        raise ValueError("must not contain the character NUL (\\u0000)")
    return text


Reason = Annotated[str, Field(max_length=MAX_REASON_CHARS), AfterValidator(_without_nul)]


class OperatorBody(Body):
    """Why the operator does it."""

    reason: Reason | None = None


class OperatorCancelBody(OperatorBody):
    """Cancels a run. `rollback` deletes the run and its checkpoints."""

    action: Annotated[Action, Field(strict=False)] = Action.INTERRUPT
