"""Checks the answers that a client sends by the ordinary protocol (`command.resume`) against the reviews of the run
that waits. Such an answer is a decision of the client's user: the script that creates the run stores it in the review.

An answer is checked as one of the review desk is: its schema, its allowed decisions, and the policy. It is rejected if
the policy needs further people. Claims do not matter.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from slipway.access.users import User
from slipway.canonical_json import call_hash
from slipway.checkpoints.interrupt_answers import is_answer_map
from slipway.errors import InvalidRequest, ReviewUndecided
from slipway.json_comparison import equal
from slipway.redis.hash_fields import flat
from slipway.redis.keys import Keys
from slipway.redis.pipeline import Pipeline
from slipway.reviews import rules
from slipway.reviews.actor import Actor, actor_for
from slipway.reviews.answers import decisions_in
from slipway.reviews.reads import ReviewReads
from slipway.reviews.record import Review, ReviewState, review_from, review_id_of
from slipway.reviews.scripts import entry_of
from slipway.runs.record import RunSpec
from slipway.runs.review_arguments import CheckedAnswer, CheckedAnswers
from slipway.serialization.at_rest import sealed_text
from slipway.serialization.places import DECISION

_PATH = "command.resume"


@dataclass(frozen=True, slots=True)
class _Answer:
    """An answer to one review, and its path in the request."""

    review: Review
    value: Any
    path: str


class ProtocolAnswers:
    """Two reads for a thread that waits without reviews, and one more for one that has them."""

    def __init__(self, pipeline: Pipeline, keys: Keys) -> None:
        self._reads = ReviewReads(pipeline, keys)

    async def check(self, spec: RunSpec) -> RunSpec:
        """The run with the decisions that its answers are. Raises `InvalidRequest` for an answer that does not match
        its question, `ReviewRefused`, `ReviewUndecided` if more people must agree, and `ReviewClosed` for a question
        that has an answer already."""
        resume = (spec.execution.options.command or {}).get("resume")
        asking = await self._reads.asking(spec.identity.thread_id)
        if asking is None:
            return replace(spec, behaviour=replace(spec.behaviour, checked=None))
        ids = [review_id_of(asking.run_id, interrupt_id) for interrupt_id in asking.interrupt_ids]
        records, now_us = await self._reads.with_time(ids)
        reviews = [review_from(fields) for fields in records if fields is not None]
        spec = _with_named_answer(spec, reviews)
        if not asking.waits:
            _require_same_answers(reviews, resume)
            return replace(spec, behaviour=replace(spec.behaviour, checked=None))
        actor = actor_for(None if spec.identity.user is None else User(spec.identity.user))
        decided = {each.review.interrupt_id: _decided(each, actor, now_us) for each in _answers(reviews, resume)}
        checked: CheckedAnswers = {
            "run_id": asking.run_id,
            "held": False,
            "revisions": {each.interrupt_id: each.revision for each in reviews if each.interrupt_id in decided},
            "answers": decided,
        }
        return replace(spec, behaviour=replace(spec.behaviour, checked=checked))


def _answers(reviews: Sequence[Review], resume: Any) -> list[_Answer]:
    """Which value answers which review, by LangGraph's rule. A plain value answers the only question. LangGraph rejects
    it for several; then nothing is decided here, unless a policy restricts who may answer one."""
    if resume is None or not reviews:
        return []
    if is_answer_map(resume):
        by_id: Mapping[str, Any] = resume
        return [
            _Answer(each, by_id[each.interrupt_id], f"{_PATH}.{each.interrupt_id}")
            for each in reviews
            if each.interrupt_id in by_id
        ]
    if len(reviews) == 1:
        return [_Answer(reviews[0], resume, _PATH)]
    if any(review.guarded for review in reviews):
        ids = [review.interrupt_id for review in reviews]
        raise InvalidRequest(_PATH, "must be an object of interrupt id to answer: the run has several questions", ids)
    return []


def _with_named_answer(spec: RunSpec, reviews: Sequence[Review]) -> RunSpec:
    """The run with the key of the call beside a plain answer to the tool gateway. LangGraph gives that to nobody; it
    would give the plain answer to the next question that the node itself asks."""
    command = spec.execution.options.command or {}
    resume = command.get("resume")
    if resume is None or is_answer_map(resume) or len(reviews) != 1 or reviews[0].gateway_call is None:
        return spec
    named = {**command, "resume": {reviews[0].gateway_call.call: resume}}
    return replace(spec, execution=replace(spec.execution, options=replace(spec.execution.options, command=named)))


def _require_same_answers(reviews: Sequence[Review], resume: Any) -> None:
    """A run with the answers has ended and left the interrupts open, for example because it was cancelled. The answers
    may be sent again. Other answers than those that were decided by a policy raise `ReviewClosed`."""
    for answer in _answers([review for review in reviews if review.guarded], resume):
        if not equal(answer.value, answer.review.answer):
            rules.require_undecided(answer.review)


def _decided(answer: _Answer, actor: Actor, now_us: int) -> CheckedAnswer:
    review = answer.review
    rules.require_undecided(review)
    rules.require_in_time(review, now_us)
    decisions = decisions_in(review.question, answer.value, answer.path)
    rules.require_member(review, actor)
    change = rules.vote(review, actor, decisions, answer.value, now_us, call_hash)
    if change.state is not ReviewState.HELD:
        raise ReviewUndecided(
            f"the question needs the same answer of {review.policy.quorum} people: they decide at "
            f"/ops/reviews/{review.review_id}/decide",
            review_id=review.review_id,
            quorum=review.policy.quorum,
            votes=len(review.votes),
        )
    assert change.answer is not None
    stored = flat(change.fields)
    checked: CheckedAnswer = {
        "fields": [*stored, "answer", sealed_text(change.answer.decode(), DECISION)],
        "audit": entry_of(review.review_id, change),
    }
    return checked if change.approval is None else {**checked, "approval": change.approval}
