"""The section `slipway.reviews` of `langgraph.json`: the policies of the questions that graphs ask.

    "reviews": {"refund_desk": {"groups": ["finance"], "due_s": 86400, "nodes": {"ask": {"quorum": 2}}}}

The policy of a node replaces that of its graph. Questions of the tool gateway have policies of their own.
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, model_validator

from slipway.graphs.project_objects import Text
from slipway.graphs.review_policy import ReviewPolicies, ReviewPolicy
from slipway.graphs.strict_section import PositiveNumber, PositiveWhole, StrictSection


class RespondSection(StrictSection):
    """A default action: the text of a response."""

    respond: Text


class AnswerSection(StrictSection):
    """A default action: the answer to a free question."""

    answer: Any


class ReviewPolicySection(StrictSection):
    """One policy: see `ReviewPolicy` for what each member means."""

    quorum: PositiveWhole = 1
    groups: list[Text] = Field(default_factory=list)
    four_eyes: bool = False
    due_s: PositiveNumber | None = None
    default: Literal["approve", "reject", "ignore", "cancel"] | RespondSection | AnswerSection | None = None
    remind_s: PositiveNumber | None = None
    escalate_s: PositiveNumber | None = None
    escalate_to: list[Text] = Field(default_factory=list)
    cooldown_s: PositiveNumber = 60

    @model_validator(mode="after")
    def _check_pairs(self) -> ReviewPolicySection:
        if self.default is not None and self.due_s is None:
            raise ValueError("default needs due_s: without a due time it would never be done")
        if (self.escalate_s is None) != (not self.escalate_to):
            raise ValueError("escalate_s and escalate_to need each other")
        if self.escalate_to and not self.groups:
            raise ValueError("escalate_to needs groups: without them everybody may decide from the start")
        if self.escalate_s is not None and self.due_s is not None and self.escalate_s >= self.due_s:
            raise ValueError("escalate_s must be shorter than due_s: afterwards nobody can decide any more")
        return self

    def policy(self, name: str = "") -> ReviewPolicy:
        """The policy, with the name that reviews show for it."""
        members = self.model_dump(include=set(ReviewPolicySection.model_fields))
        return ReviewPolicy(name=name, **members)


class GraphReviewsSection(ReviewPolicySection):
    """`slipway.reviews.GRAPH`: the policy of its questions, and those of single nodes."""

    nodes: dict[Text, ReviewPolicySection] = Field(default_factory=dict)

    def policies(self) -> ReviewPolicies:
        """The policies by node."""
        return ReviewPolicies(self.policy(), {node: section.policy() for node, section in self.nodes.items()})
