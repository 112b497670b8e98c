"""What one operation changes in a review. `review_change.lua` stores it, if nobody has changed the review meanwhile."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from slipway.reviews.record import ReviewState, Vote
from slipway.runs.review_arguments import StoredApproval
from slipway.serialization.at_rest import sealed_json
from slipway.serialization.json_encoding import dumps
from slipway.serialization.places import DECISION


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """An operation that a person or a due time does to a review."""

    action: str
    """The stable word in the audit trail, such as `review.claimed`."""
    actor: str
    details: Mapping[str, Any] = field(default_factory=dict)
    """Of the entry in the audit trail, besides the id of the review."""
    state: ReviewState | None = None
    """None: it stays."""
    fields: Mapping[str, str] = field(default_factory=dict)
    deleted: Sequence[str] = ()
    """Fields that are deleted."""
    delays_ms: Mapping[str, int] = field(default_factory=dict)
    """By the name of a field with a time: when it comes, in ms from now."""
    terms: str | None = None
    """The packed index terms, if they change."""
    answer: bytes | None = None
    """The value that the interrupt gets, as JSON."""
    approval: StoredApproval | None = None
    before_due: bool = False
    """Whether it must come before the due time."""
    after_due: bool = False
    """Whether it must come after the due time."""


def as_json(value: Any) -> str:
    """The text that a field stores."""
    return dumps(value).decode()


def stored_votes(votes: Sequence[Vote]) -> str:
    return sealed_json([vote.stored() for vote in votes], DECISION)
