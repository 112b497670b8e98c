"""Does what reviews are to do at a time: the default action at the due time, reminders, escalations and follow-ups.
Also resumes runs whose questions all have answers, if the process that received the last answer has died or could not.

Interval: `reap_every_s`.
Who: every worker; each change is stored once, because it needs the review as it was read.
Logs: `review.default_action` and `review.cancelled` at a due time, `review.reminder`, `review.escalation` and
`review.follow_up`; `review.resumed` for a run.
"""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Final

import structlog

from slipway.duties.duty import Duty
from slipway.errors import NotFound, SlipwayError
from slipway.redis.per_shard import PerShard
from slipway.reviews.reads import ReviewReads
from slipway.reviews.record import Review, ReviewState
from slipway.runs.cancel_reasons import UNDECIDED_IN_TIME
from slipway.services import Services

log = structlog.get_logger(__name__)

_MOST_PAGES: Final = 10
"""The most pages that one round reads. A review has at most four times."""


class Reviews(Duty):
    """One round does everything that is due, and resumes all runs that can be."""

    name = "reviews"

    def __init__(self, services: Services) -> None:
        super().__init__(services.settings.reap_every_s)
        self._services = services
        self._reads = PerShard(services.shards, partial(ReviewReads, services.pipeline))

    async def run_once(self) -> int:
        """Returns how many reviews and runs were handled."""
        handled, tried = 0, set[str]()
        for _ in range(_MOST_PAGES):
            due = await asyncio.gather(*(reads.due() for reads in self._reads))
            reviews = [review_id for each, _ in due for review_id in each]
            runs = [run_id for _, each in due for run_id in each]
            runs = [run_id for run_id in runs if run_id not in tried]
            for review_id in reviews:
                await self._pass_time(review_id)
            for run_id in runs:
                tried.add(run_id)
                await self._resume(run_id)
            handled += len(reviews) + len(runs)
            if not reviews and not runs:
                break
        return handled

    async def _pass_time(self, review_id: str) -> None:
        store = self._services.reviews
        try:
            if await store.is_overdue(review_id):
                if await store.do_default_action(review_id):
                    log.info("review.default_action", review=review_id)
                else:
                    await self._cancel(await store.get(review_id))
                return
            before = await store.get(review_id)
            after = await store.pass_time(review_id)
            _log_change(before, after)
        except NotFound:
            return  # its run was deleted

    async def _cancel(self, review: Review) -> None:
        if review.state in (ReviewState.OPEN, ReviewState.CLAIMED):
            runs = self._services.runs
            await runs.cancel_overdue(review.thread_id, review.run_id, review.review_id, UNDECIDED_IN_TIME)
            log.info("review.cancelled", review=review.review_id, run=review.run_id)

    async def _resume(self, run_id: str) -> None:
        try:
            resumed = await self._services.resumer.resume(run_id)
        except SlipwayError as error:
            log.warning("review.resume_later", run=run_id, problem=str(error))
        else:
            if resumed is not None:
                log.info("review.resumed", run=run_id, new_run=resumed)


def _log_change(before: Review, after: Review) -> None:
    if len(after.groups) > len(before.groups):
        log.info("review.escalation", review=after.review_id, groups=after.groups)
    if after.reminders > before.reminders:
        log.info("review.reminder", review=after.review_id, reminders=after.reminders, groups=after.groups)
    if before.follow_up_us is not None and after.follow_up_us is None:
        log.info("review.follow_up", review=after.review_id, assignee=after.assignee)
