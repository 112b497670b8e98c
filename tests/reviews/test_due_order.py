"""The list of reviews in the order of due times."""

from __future__ import annotations

from random import Random

import pytest

from slipway.errors import InvalidRequest
from slipway.graphs.registry import Registry
from slipway.graphs.review_policy import ReviewPolicy
from slipway.reviews.actor import Actor
from slipway.reviews.record import ReviewState
from slipway.reviews.search import ReviewOrder, ReviewQuery
from slipway.services import Services
from slipway.settings import Settings
from tests.reviews.waiting_runs import processes, wait_with_questions

YES = {"kind": "answer", "value": "yes"}
BOB = Actor("bob")


async def ask(services: Services, due_s: float | None) -> str:
    """The id of a review that is due after so long."""
    waiting = await wait_with_questions(services, "Really?", policy=ReviewPolicy(due_s=due_s))
    return waiting.reviews[0].review_id


async def test_pages_in_the_order_of_due_times_miss_and_repeat_nothing(settings: Settings, graphs: Registry) -> None:
    """Although others are opened, claimed and decided between two pages."""
    random, dues_s = Random(3), [None, 500.0, 100.0, None, 300.0, 200.0, 400.0, None]
    async with processes(settings, graphs, 1) as (services,):
        early = await services.reviews.get(await ask(services, 1))
        query = ReviewQuery(created_from_us=early.created_us + 1)
        asked = [(due_s or 1e9 + position, await ask(services, due_s)) for position, due_s in enumerate(dues_s)]
        decided, claimed = await ask(services, 50), asked[5][1]
        await services.reviews.decide(decided, BOB, YES)
        await services.queues[0].run_claim("w", 1, 60_000)  # the run with the answer
        listed: list[str] = []
        cursor: str | None = None
        for _ in range(20):
            page = await services.review_search.page(query, limit=3, cursor=cursor, order=ReviewOrder.DUE)
            listed += [review.review_id for review in page.reviews]
            cursor = page.next
            if cursor is None:
                break
            for _ in range(2):
                await ask(services, random.choice([None, 5.0, 1000.0]))
            await services.reviews.claim(claimed, BOB)
        expected = [review_id for _, review_id in sorted(asked)]
        assert [each for each in listed if each in expected] == expected
        assert len(set(listed)) == len(listed)
        assert decided not in listed


async def test_the_order_of_due_times_has_the_conditions_of_a_list(settings: Settings, graphs: Registry) -> None:
    async with processes(settings, graphs, 1) as (services,):
        late, soon, other = [await ask(services, due_s) for due_s in (900, 30, 60)]
        await services.reviews.claim(other, BOB)
        due_us = (await services.reviews.get(other)).due_us

        async def listed(query: ReviewQuery) -> list[str]:
            found = await services.review_search.page(query, limit=10, order=ReviewOrder.DUE)
            assert found.next is None
            return [review.review_id for review in found.reviews]

        assert await listed(ReviewQuery(states=frozenset({ReviewState.OPEN}))) == [soon, late]
        assert await listed(ReviewQuery(assignee="bob", graph_id="one")) == [other]
        assert await listed(ReviewQuery(due_before_us=due_us)) == [soon]
        with pytest.raises(InvalidRequest, match="state"):
            await listed(ReviewQuery(states=frozenset({ReviewState.DECIDED, ReviewState.OPEN})))
        await services.threads.delete((await services.reviews.get(soon)).thread_id)
        assert await listed(ReviewQuery()) == [other, late]
        assert await services.pipeline.send("ZCARD", services.keys.reviews_by_due) == 2
