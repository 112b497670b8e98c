"""Bodies of requests on reviews."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import AfterValidator, ConfigDict, Field

from slipway.api.bodies.body import Body, StrictBody, WithoutNul

MAX_CHARACTERS = 10_000
"""The longest comment."""

MAX_DECISION_BYTES = 1 << 20
"""The largest body of a decision. It is stored several times: as a vote, as the decision, as the answer, in the audit
trail."""

Comment = Annotated[str, Field(min_length=1, max_length=MAX_CHARACTERS, pattern=r"\S"), WithoutNul]


def _visible(name: str) -> str:
    if name != name.strip() or not name.isprintable():
        raise ValueError("must be printable characters, without spaces at the ends")
    return name


class ReassignBody(StrictBody):
    """Makes another person the assignee."""

    assignee: Annotated[str, Field(min_length=1, max_length=500), AfterValidator(_visible)]


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
