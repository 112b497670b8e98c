"""The policy of a review: who may decide it, how many people must agree, and what happens when nobody does."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any, Final

CANCEL: Final = "cancel"
"""The default action that cancels the run."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReviewPolicy:
    """Times are in seconds after the question was asked."""

    name: str = ""
    """The name in `slipway.approval_policies`. Empty for a policy that has none."""
    quorum: int = 1
    """How many different people must give the same answer. One person can reject alone."""
    groups: Sequence[str] = ()
    """Only members of one of these groups may decide. Empty: everybody who may review."""
    four_eyes: bool = False
    """Whoever started the run, or edited the call that is asked about, cannot decide it."""
    due_s: float | None = None
    """After so long the question cannot be answered any more, and `default` is done."""
    default: str | Mapping[str, Any] | None = None
    """What is done then: `approve`, `reject`, `ignore`, `cancel` (the run), `{"respond": text}` or `{"answer": value}`.
    None: `reject`. What the question does not allow becomes `cancel`."""
    remind_s: float | None = None
    """How often people are reminded."""
    escalate_s: float | None = None
    """After so long the members of `escalate_to` may decide too."""
    escalate_to: Sequence[str] = ()
    cooldown_s: float = 60
    """The shortest time between two reminders that people ask for."""

    @property
    def restricted(self) -> bool:
        """Whether some people may not approve."""
        return bool(self.groups) or self.four_eyes

    @property
    def guarded(self) -> bool:
        """Whether it restricts who may answer."""
        return self.quorum > 1 or self.restricted

    def stored(self) -> dict[str, Any]:
        """The members that differ from their default, as JSON."""
        members = {each.name: getattr(self, each.name) for each in fields(self)}
        lists = {name: list(members[name]) for name in ("groups", "escalate_to")}
        return {name: value for name, value in (members | lists).items() if value != _DEFAULTS[name]}

    @classmethod
    def from_stored(cls, members: Mapping[str, Any]) -> ReviewPolicy:
        """Members that a later release has added are ignored."""
        return cls(**{name: value for name, value in members.items() if name in _DEFAULTS})


_NONE: Final = ReviewPolicy()
_DEFAULTS: Final = {each.name: getattr(_NONE, each.name) for each in fields(_NONE)} | {"groups": [], "escalate_to": []}


@dataclass(frozen=True, slots=True)
class ReviewPolicies:
    """The policies of the questions of one graph."""

    for_all: ReviewPolicy = _NONE
    nodes: Mapping[str, ReviewPolicy] = field(default_factory=dict)

    def of(self, node: str) -> ReviewPolicy:
        return self.nodes.get(node, self.for_all)


NO_POLICIES: Final = ReviewPolicies()
"""Of a graph whose questions everybody may answer, at any time."""
