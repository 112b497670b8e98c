"""The read stubs of reviews."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from slipway.redis.hash_fields import Fields
from slipway.redis.keys import Keys
from slipway.redis.read_stubs import ReadStubs
from slipway.reviews.record import review_from

_PAGE = 100


@dataclass(frozen=True, slots=True)
class AskingRun:
    """A run with reviews, by the ids of its interrupts. If it does not wait any more, a run with answers followed,
    which may have left the interrupts open."""

    run_id: str
    interrupt_ids: Sequence[str]
    waits: bool


class ReviewReads(ReadStubs):
    """One round trip each, unless a method says otherwise."""

    async def records(self, review_ids: Sequence[str]) -> list[Fields | None]:
        """The records in the order of the ids. None for each that does not exist."""
        return await self._records(map(self._keys.review, review_ids), "state")

    async def index_records(self, review_ids: Sequence[str]) -> list[tuple[str, str, str]]:
        """What `IndexCheck` compares: id, revision and index terms of each that exists."""
        reviews = [review_from(fields) for fields in await self.records(review_ids) if fields is not None]
        return [(review.review_id, review.revision, review.terms_now) for review in reviews]

    async def with_time(self, review_ids: Sequence[str]) -> tuple[list[Fields | None], int]:
        """The records, and the time of Redis in µs."""
        time = self._pipeline.send("TIME", at=self._keys.prefix, repeatable=True)
        records = await self.records(review_ids)
        seconds, microseconds = await time
        return records, int(seconds) * 1_000_000 + int(microseconds)

    async def of_run(self, run_id: str) -> list[str]:
        """The ids of the interrupts for which the run has reviews."""
        return (await self._text(self._keys.run(run_id), "reviews") or "").split()

    async def asking(self, thread_id: str) -> AskingRun | None:
        """The run whose questions the next answer on the thread answers. None if it has no reviews. Two round trips,
        and one more if its questions were answered already."""
        names = ("waiting_run_id", "answered_by_run_id")
        replies = await self._pipeline.send("HMGET", self._keys.thread(thread_id), *names, repeatable=True)
        waiting, answered_by = (None if each is None else each.decode() for each in replies)
        run_id = waiting
        if waiting is None and answered_by is not None:
            run_id = await self._text(self._keys.run(answered_by), "resumes")
        interrupt_ids = [] if run_id is None else await self.of_run(run_id)
        return AskingRun(run_id, interrupt_ids, waiting is not None) if run_id is not None and interrupt_ids else None

    async def due(self) -> tuple[list[str], list[str]]:
        """The ids of reviews of which a time has come, and of runs whose questions all have answers; some of each."""
        seconds, microseconds = await self._pipeline.send("TIME", at=self._keys.prefix, repeatable=True)
        now_ms = int(seconds) * 1000 + int(microseconds) // 1000
        reviews, runs = await asyncio.gather(
            *(
                self._pipeline.send("ZRANGEBYSCORE", key, "-inf", now_ms, "LIMIT", 0, _PAGE, repeatable=True)
                for key in (self._keys.reviews_due, self._keys.reviews_ready)
            )
        )
        return [each.decode() for each in reviews], [each.decode() for each in runs]


def notification_channel(keys: Keys) -> str:
    """The channel on which each change of a review publishes the id of the review."""
    return keys.review_notifications
