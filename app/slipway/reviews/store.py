"""The operations on reviews, for routes, pages and commands. Each reads the review, decides by the rules what to
change, and stores it if nobody has changed the review meanwhile; otherwise it starts again."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any

from slipway import failpoints
from slipway.canonical_json import call_hash
from slipway.errors import NotFound
from slipway.redis.pipeline import Pipeline
from slipway.redis.shards import Shards
from slipway.reviews import rules
from slipway.reviews.actor import Actor
from slipway.reviews.answers import decisions_from, resume_value
from slipway.reviews.change import Change
from slipway.reviews.reads import ReviewReads
from slipway.reviews.record import UNDECIDED, Review, review_from, review_id_of
from slipway.reviews.resuming import Resumer
from slipway.reviews.scripts import ChangeOutcome, ReviewScripts
from slipway.runs.audit import MOST_ENTRIES, AuditEntry, AuditTrail

Rule = Callable[[Review, int], Change | None]
"""What to change in a review, at a time in µs. None: nothing."""


class ReviewStore:
    """Reads and changes reviews. All methods raise `NotFound` for an unknown review, and the errors of the rules."""

    def __init__(self, pipeline: Pipeline, shards: Shards, audit: AuditTrail, resumer: Resumer) -> None:
        self._reads, self._scripts = ReviewReads(pipeline, shards.records), ReviewScripts(pipeline, shards)
        self._audit, self._resumer = audit, resumer

    async def get(self, review_id: str) -> Review:
        return (await self._with_time(review_id))[0]

    async def get_many(self, review_ids: Sequence[str]) -> list[Review | None]:
        """None for each that does not exist."""
        records = await self._reads.records(review_ids)
        return [None if fields is None else review_from(fields) for fields in records]

    async def of_run(self, run_id: str) -> list[Review]:
        """The reviews of a run, in the order of its interrupts."""
        ids = [review_id_of(run_id, interrupt_id) for interrupt_id in await self._reads.of_run(run_id)]
        return [review for review in await self.get_many(ids) if review is not None]

    async def history(self, review: Review) -> list[AuditEntry]:
        """What was done to the review, the oldest first: its entries in the audit trail of its run, after those of the
        review of the same question that it continues."""
        entries: list[AuditEntry] = []
        if review.asked_before is not None and review.asked_before != review.review_id:
            with suppress(NotFound):  # that run may be deleted
                entries += await self.history(await self.get(review.asked_before))
        after = ""
        while page := await self._audit.read(review.run_id, after=after):
            entries += [entry for entry in page if entry.details.get("review_id") == review.review_id]
            after = page[-1].entry_id
            if len(page) < MOST_ENTRIES:
                break
        return entries

    # operations

    async def claim(self, review_id: str, actor: Actor) -> Review:
        return await self._change(review_id, lambda review, _: rules.claimed(review, actor))

    async def release(self, review_id: str, actor: Actor) -> Review:
        return await self._change(review_id, lambda review, _: rules.released(review, actor))

    async def reassign(self, review_id: str, actor: Actor, assignee: str) -> Review:
        return await self._change(review_id, lambda review, _: rules.reassigned(review, actor, assignee))

    async def comment(self, review_id: str, actor: Actor, text: str) -> Review:
        return await self._change(review_id, lambda review, _: rules.commented(review, actor, text))

    async def request_information(self, review_id: str, actor: Actor, text: str, follow_up_s: float | None) -> Review:
        return await self._change(
            review_id, lambda review, _: rules.information_requested(review, actor, text, follow_up_s)
        )

    async def remind(self, review_id: str, actor: Actor) -> Review:
        return await self._change(review_id, lambda review, now_us: rules.reminded(review, actor, now_us))

    async def decide(self, review_id: str, actor: Actor, body: Mapping[str, Any]) -> Review:
        """Decides the review, or votes. `body` has the members of a decision, or `decisions`: see `reviews/answers.py`.
        If it was the last answer that the run needed, the run is resumed, and the review names the run. Raises
        `InvalidRequest` if the decision does not match the question; then nothing is stored."""

        def rule(review: Review, now_us: int) -> Change:
            rules.require_undecided(review)
            rules.require_in_time(review, now_us)
            decisions = decisions_from(review.question, body)
            answer = resume_value(review.question, decisions, "decisions" if "decisions" in body else "")
            return rules.decided(review, actor, decisions, answer, now_us, call_hash)

        return await self._change(review_id, rule)

    async def is_overdue(self, review_id: str) -> bool:
        """Whether the review is undecided, and its due time has come."""
        review, now_us = await self._with_time(review_id)
        return review.state in UNDECIDED and review.due_us is not None and review.due_us <= now_us

    async def do_default_action(self, review_id: str) -> bool:
        """After the due time of an undecided review: the default action of its policy. Returns False if it has none
        that the question allows, so that the run is to be cancelled."""
        possible = True

        def rule(review: Review, now_us: int) -> Change | None:
            nonlocal possible
            if review.state not in UNDECIDED or review.due_us is None or review.due_us > now_us:
                return None
            decisions = rules.default_decisions(review)
            possible = decisions is not None
            if decisions is None:
                return None
            return rules.expired(review, decisions, resume_value(review.question, decisions), now_us)

        await self._change(review_id, rule)
        return possible

    async def pass_time(self, review_id: str) -> Review:
        """Does one thing whose time has come, if any: an escalation, a reminder or a follow-up."""

        def rule(review: Review, now_us: int) -> Change | None:
            if review.state not in UNDECIDED:
                return None
            if review.escalate_us is not None and review.escalate_us <= now_us:
                return rules.escalated(review)
            if review.remind_us is not None and review.remind_us <= now_us:
                return rules.reminded_by_time(review)
            if review.follow_up_us is not None and review.follow_up_us <= now_us:
                return rules.followed_up(review)
            return None

        return await self._change(review_id, rule)

    async def _change(self, review_id: str, rule: Rule) -> Review:
        """Returns the review afterwards."""
        while True:
            review, now_us = await self._with_time(review_id)
            change = rule(review, now_us)
            if change is None:
                return review
            outcome = await self._scripts.change(review, change)
            if outcome is ChangeOutcome.NOT_FOUND:
                raise NotFound("review", review_id)
            if outcome is ChangeOutcome.ANSWERED:
                failpoints.reach("review_answered")
                await self._resumer.resume_soon(review.run_id)
            if outcome in (ChangeOutcome.STORED, ChangeOutcome.ANSWERED):
                return await self.get(review_id)

    async def _with_time(self, review_id: str) -> tuple[Review, int]:
        (fields,), now_us = await self._reads.with_time([review_id])
        if fields is None:
            raise NotFound("review", review_id)
        return review_from(fields), now_us
