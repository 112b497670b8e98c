"""Bodies of requests on reviews."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import ConfigDict, Field

from slipway.api.bodies.body import Body, StrictBody

MAX_CHARACTERS = 10_000
"""The longest comment."""

Comment = Annotated[str, Field(min_length=1, max_length=MAX_CHARACTERS, pattern=r"\S")]


class ReassignBody(StrictBody):
    """Makes another person the assignee."""

    assignee: Annotated[str, Field(min_length=1, max_length=500, pattern=r"\S")]


class CommentBody(StrictBody):
    """A comment for the other reviewers."""

    text: Comment


class InformationBody(StrictBody):
    """A request for more information."""

    text: Comment
    follow_up_s: Annotated[float, Field(gt=0, le=366 * 86400, allow_inf_nan=False)] | None = None
    """Seconds after which the review comes back as one that needs attention."""


class DecisionBody(Body):
    """A decision: `{"kind": "approve"}`, or `{"decisions": […]}` with one for each action of the question. The members
    depend on the kind, and are checked against the question."""

    model_config = ConfigDict(extra="allow")

    kind: str | None = None
    decisions: list[Any] | None = None
