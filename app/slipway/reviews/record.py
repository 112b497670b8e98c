"""The record of a review: the question of one interrupt of a waiting run, and what people did about it.

A run that begins to wait opens a review for each of its interrupts, in the script that settles it. The states:

    open        nobody works on it
    claimed     somebody does: the assignee
    held        it has its answer, which waits until every question of the run has one
    decided     the next run of the thread has the answer
    expired     the same, and the answer is the default action, because nobody had decided it in time
    superseded  nobody can answer it any more: the thread continued otherwise, or the run was cancelled

    (new)           → open                run_settle; if the run before asked the same: the state that its review had
    open, claimed   → claimed, open       review_change
    open, claimed   → held                review_change, also when its due time comes
    held            → decided, expired    run_create
    open, claimed   → decided             run_create, by an answer of the ordinary protocol
    any of these    → superseded          run_create, run_claim, thread_patch, run_cancel
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property
from typing import Any, Final

import orjson

from slipway.clock import iso
from slipway.graphs.review_policy import ReviewPolicy
from slipway.indexes.terms import Space, scalar_term
from slipway.redis.hash_fields import Fields
from slipway.reviews.answers import Decision, schema_fault
from slipway.reviews.questions import DecisionKind, Question, question_of
from slipway.serialization.at_rest import opened_json
from slipway.serialization.places import DECISION, question_place


class ReviewState(StrEnum):
    """See the module."""

    OPEN = "open"
    CLAIMED = "claimed"
    HELD = "held"
    DECIDED = "decided"
    EXPIRED = "expired"
    SUPERSEDED = "superseded"


_NO_DUE_US: Final = 4 * 10**15

UNDECIDED: Final = frozenset({ReviewState.OPEN, ReviewState.CLAIMED})

SLIPWAY: Final = "slipway"
"""The actor of what is done because its time has come."""


def review_id_of(run_id: str, interrupt_id: str) -> str:
    return f"{run_id}:{interrupt_id}"


def run_of_review(review_id: str) -> str:
    """The run that asked."""
    return review_id.partition(":")[0]


@dataclass(frozen=True, slots=True)
class Vote:
    """What one person decided, before enough people agree."""

    by: str
    decisions: Sequence[Mapping[str, Any]]
    """`Decision.public` of each."""
    digest: str
    """Of the decisions: equal votes have the same."""

    def public(self) -> dict[str, Any]:
        return {"by": self.by, "decisions": list(self.decisions)}

    def stored(self) -> dict[str, Any]:
        return self.public() | {"digest": self.digest}


@dataclass(frozen=True, slots=True)
class Outcome:
    """The decision that counts: it was made once and never changes."""

    by: Sequence[str]
    """Who made it; everybody whose vote was needed."""
    decisions: Sequence[Mapping[str, Any]]
    at: str
    """ISO 8601."""

    def public(self) -> dict[str, Any]:
        return {"by": list(self.by), "decisions": list(self.decisions), "at": self.at}


@dataclass(frozen=True, slots=True)
class GatewayCall:
    """The call of a tool about which the gateway asks: its key, the hash of its name and arguments, and who edited
    it."""

    call: str
    hash: str
    edited_by: str | None = None


@dataclass(frozen=True, kw_only=True)
class Review:
    """A review as it was stored at the moment of reading. Times are in µs on the clock of Redis."""

    review_id: str
    run_id: str
    thread_id: str
    graph_id: str
    node: str
    """The node that asked, or in which a subgraph did."""
    interrupt_id: str
    state: ReviewState
    revision: str
    """Increases with each change."""
    interrupt: Mapping[str, Any]
    """The interrupt as clients receive it."""
    policy: ReviewPolicy
    gateway_call: GatewayCall | None
    owner: str | None
    """To whom the run belongs: the owner of the user for whom it executes, else the user's identity."""
    restricted_to: str | None
    """The owner of the run's user, if the user has one: the only owner who can see the review (docs/access.md)."""
    started_by: str | None
    """The identity of the user who started the chain."""
    created_us: int
    updated_us: int
    due_us: int | None
    remind_us: int | None
    escalate_us: int | None
    follow_up_us: int | None
    """When the answer to a request for information is looked for."""
    assignee: str | None
    groups: Sequence[str]
    """Whose members may decide; the policy's and, after an escalation, more. Empty: everybody who may review."""
    votes: Sequence[Vote]
    outcome: Outcome | None
    answer: Any
    """The value that the interrupt gets. None without an outcome; it may also be null."""
    expires: bool
    """Whether the outcome is the default action."""
    reminders: int
    reminded_us: int | None
    resumed_by: str | None
    """The run that continued the thread."""
    reason: str | None
    """Why it has ended."""
    asked_before: str | None
    """The review of the same question of the run before."""
    terms: str = field(repr=False)

    @cached_property
    def question(self) -> Question:
        return question_of(self.interrupt["value"], self.interrupt.get("response_schema"))

    @property
    def due_score(self) -> int:
        """The place in the order of due times, which reviews without a due time come last in, as `due_score` of
        `redis/lua/lib/reviews.lua` says it."""
        return _NO_DUE_US + self.created_us if self.due_us is None else min(self.due_us, _NO_DUE_US - 1)

    @property
    def terms_now(self) -> str:
        """The packed index terms that the review must have."""
        return terms_of(self.graph_id, self.assignee, self.groups, self.restricted_to)

    @property
    def guarded(self) -> bool:
        """Whether no answer counts but the decision of the review."""
        return self.policy.guarded or self.gateway_call is not None

    def public(self) -> dict[str, Any]:
        """The review as clients receive it."""
        outcome, votes = self.outcome, [vote.public() for vote in self.votes]
        return {
            "review_id": self.review_id,
            "run_id": self.run_id,
            "thread_id": self.thread_id,
            "graph_id": self.graph_id,
            "node": self.node,
            "interrupt_id": self.interrupt_id,
            "state": self.state.value,
            "question": self.question.public(),
            "interrupt": dict(self.interrupt),
            "schema_fault": schema_fault(self.question) or None,
            "policy": self.policy.stored(),
            "owner": self.owner,
            "started_by": self.started_by,
            "edited_by": self.gateway_call.edited_by if self.gateway_call else None,
            "created_at": iso(self.created_us),
            "updated_at": iso(self.updated_us),
            "due_at": _iso(self.due_us),
            "remind_at": _iso(self.remind_us),
            "escalate_at": _iso(self.escalate_us),
            "follow_up_at": _iso(self.follow_up_us),
            "assignee": self.assignee,
            "groups": list(self.groups),
            "votes": votes,
            "decision": None if outcome is None else outcome.public() | {"answer": self.answer},
            "expired": self.expires,
            "reminders": self.reminders,
            "reminded_at": _iso(self.reminded_us),
            "resumed_by": self.resumed_by,
            "reason": self.reason,
            "asked_before": self.asked_before,
        }


def _iso(time_us: int | None) -> str | None:
    return None if time_us is None else iso(time_us)


def review_from(fields: Fields) -> Review:
    """The review of a stored record."""
    run_id, interrupt_id = _text(fields, "run_id") or "", _text(fields, "interrupt_id") or ""
    call, outcome = _text(fields, "call"), _decision(fields, "decision")
    return Review(
        review_id=review_id_of(run_id, interrupt_id),
        run_id=run_id,
        thread_id=fields["thread_id"].decode(),
        graph_id=fields["graph_id"].decode(),
        node=fields["node"].decode(),
        interrupt_id=interrupt_id,
        state=ReviewState(fields["state"].decode()),
        revision=fields["revision"].decode(),
        interrupt=opened_json(fields["question"], question_place(run_id)),
        policy=ReviewPolicy.from_stored(orjson.loads(fields.get("policy", b"{}"))),
        gateway_call=None if call is None else GatewayCall(call, fields["hash"].decode(), _text(fields, "edited_by")),
        owner=_text(fields, "owner"),
        restricted_to=_text(fields, "restricted_to"),
        started_by=_text(fields, "started_by"),
        created_us=int(fields["created_us"]),
        updated_us=int(fields["updated_us"]),
        due_us=_time(fields, "due_us"),
        remind_us=_time(fields, "remind_us"),
        escalate_us=_time(fields, "escalate_us"),
        follow_up_us=_time(fields, "follow_up_us"),
        assignee=_text(fields, "assignee"),
        groups=_json(fields, "groups") or [],
        votes=[Vote(**vote) for vote in _decision(fields, "votes") or []],
        outcome=None if outcome is None else Outcome(**outcome),
        answer=opened_json(fields["answer"], DECISION) if "answer" in fields else None,
        expires="expires" in fields,
        reminders=int(fields.get("reminders", b"0")),
        reminded_us=_time(fields, "reminded_us"),
        resumed_by=_text(fields, "resumed_by"),
        reason=_text(fields, "reason"),
        asked_before=_text(fields, "asked_before"),
        terms=fields["terms"].decode(),
    )


def _text(fields: Fields, name: str) -> str | None:
    return fields[name].decode() if fields.get(name) else None


def _time(fields: Fields, name: str) -> int | None:
    return int(fields[name]) if name in fields else None


def _json(fields: Fields, name: str) -> Any:
    return orjson.loads(fields[name]) if name in fields else None


def _decision(fields: Fields, name: str) -> Any:
    return opened_json(fields[name], DECISION) if name in fields else None


# the index


def graph_term(graph_id: str) -> str:
    return _term("graph_id", graph_id)


def assignee_term(identity: str) -> str:
    return _term("assignee", identity)


def group_term(group: str) -> str:
    return _term("group", group)


def owner_term(owner: str) -> str:
    """The reviews that are restricted to this owner."""
    return _term("owner", owner)


def terms_of(graph_id: str, assignee: str | None, groups: Sequence[str], restricted_to: str | None) -> str:
    """The packed index terms of a review."""
    assigned = [] if assignee is None else [assignee_term(assignee)]
    owned = [] if restricted_to is None else [owner_term(restricted_to)]
    return "".join(dict.fromkeys([graph_term(graph_id), *owned, *assigned, *map(group_term, groups)]))


def _term(member: str, value: str) -> str:
    term = scalar_term(Space.RECORD, member, value)
    assert term is not None  # a text has a term
    return term


def digest_of(decisions: Sequence[Decision]) -> str:
    """Of what a vote is for: votes for the same have the same digest."""
    members = orjson.dumps([decision.public() for decision in decisions], option=orjson.OPT_SORT_KEYS)
    return hashlib.sha256(members).hexdigest()[:32]


APPROVING: Final = digest_of([Decision(DecisionKind.APPROVE)])
"""The digest of a vote that approves one action as it was shown."""
