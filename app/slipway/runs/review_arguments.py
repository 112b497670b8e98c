"""What the scripts of runs receive about reviews. The package `reviews` builds it; here it is only passed on."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NotRequired, TypedDict

from slipway.serialization.json_encoding import dumps


class AskedCall(TypedDict):
    """The call of a tool about which a review asks: its key and hash. `approving` is the digest of a vote for it."""

    call: str
    hash: str
    approving: str


class NewReview(TypedDict):
    """A review that is opened when a run begins to wait. `fields` is a flat list of names and values."""

    interrupt_id: str
    digest: str
    """Of the question. If the run before has asked the same, what people did to its review is kept."""
    fields: Sequence[str]
    terms: str
    """The packed index terms."""
    delays_ms: Mapping[str, int]
    """By the name of a field with a time: when it comes, in ms from now."""
    guarded: bool
    """Whether no answer counts but the decision of the review: the policy restricts who may answer, or the tool gateway
    asks."""
    asked: AskedCall | None
    opened: str
    """The details of the entry in the audit trail, as JSON."""


@dataclass(frozen=True, slots=True)
class OpenedReview:
    """A new review, and its question in its stored form."""

    arguments: NewReview
    question: bytes


class StoredApproval(TypedDict):
    """That `count` people (`by`) approved a call of a tool with this hash. `edited_by` is who edited the call, now or
    before."""

    thread_id: str
    call: str
    asked_hash: str
    """Of the call that people were asked about. After an edit, `hash` is another one."""
    decision: str | None
    """What the gateway does with the call that people were asked about, as JSON: another call (`edit`), or none
    (`reject`). None: it is approved, or there is no decision yet."""
    hash: str
    count: int
    by: Sequence[str]
    review_id: str
    edited_by: str | None


class StoredEntry(TypedDict):
    """An entry of an audit trail. `details` is JSON."""

    action: str
    actor: str
    details: str


class CheckedAnswer(TypedDict):
    """An answer of a run that decides a review: its fields of the review, and its entry of the audit trail."""

    fields: Sequence[str]
    audit: StoredEntry
    approval: NotRequired[StoredApproval]


class CheckedAnswers(TypedDict):
    """That the answers of a new run were checked against the reviews of the waiting run `run_id`. `held`: the run has
    all answers that were held for it. Otherwise `answers` are those that decide a review, and `revisions` the reviews
    as they were read, both by interrupt id."""

    run_id: str
    held: bool
    revisions: Mapping[str, str]
    answers: Mapping[str, CheckedAnswer]


def question_digest(value: Any) -> str:
    """Of the value of an interrupt. By it an attempt knows the questions that the tool gateway has asked, so that no
    other code can ask in its name."""
    return hashlib.sha256(dumps(value)).hexdigest()
