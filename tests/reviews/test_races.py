"""Many do something to the same questions at the same time: each question has one decision at most, its run resumes
once, and no call of a tool is approved that people did not approve.

`SLIPWAY_TEST_RACES=1000` repeats each test so often.
"""

from __future__ import annotations

import asyncio
import os
import random
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from slipway.errors import Conflict, NotFound, ReviewClosed
from slipway.graphs.registry import Registry
from slipway.graphs.review_policy import ReviewPolicy
from slipway.reviews.actor import Actor
from slipway.reviews.record import Review, ReviewState
from slipway.reviews.resuming import ResumedByDuty
from slipway.reviews.store import ReviewStore
from slipway.run_operations.operations import Operator
from slipway.runs.record import Phase
from slipway.services import Services
from slipway.settings import Settings
from slipway_workers.duties.reviews import Reviews
from tests.reviews.approvals import approved_call
from tests.reviews.project.graphs import CALL
from tests.reviews.waiting_runs import WaitingRun, processes, runs_of, wait_with_questions
from tests.runs.conftest import new_run

RACES = int(os.environ.get("SLIPWAY_TEST_RACES", "60"))

ANN, BOB = Actor("ann"), Actor("bob")
ENDED = frozenset({ReviewState.DECIDED, ReviewState.EXPIRED, ReviewState.SUPERSEDED})


async def test_two_reviewers_race_and_one_wins(settings: Settings, graphs: Registry) -> None:
    async with processes(settings, graphs, 2) as (first, second):
        for number in range(RACES):
            waiting = await wait_with_questions(first, "Who is first?")
            (review,) = waiting.reviews

            async def decide(services: Services, actor: Actor, review: Review = review) -> Review | ReviewClosed:
                try:
                    body = {"kind": "answer", "value": actor.identity}
                    return await services.reviews.decide(review.review_id, actor, body)
                except ReviewClosed as error:
                    return error

            racing = [(first, ANN), (second, BOB)]
            random.Random(number).shuffle(racing)
            results = await asyncio.gather(*(decide(*each) for each in racing))
            (won,) = (each for each in results if isinstance(each, Review))
            (lost,) = (each for each in results if isinstance(each, ReviewClosed))
            assert won.outcome is not None
            assert lost.details()["decision"]["by"] == won.outcome.by
            (resumed,) = await runs_of(first, waiting)
            assert resumed.options.command == {"resume": {review.interrupt_id: won.outcome.by[0]}}
            await first.threads.delete(waiting.run.thread_id)


async def test_a_client_and_a_reviewer_race_and_one_wins(settings: Settings, graphs: Registry) -> None:
    async with processes(settings, graphs, 2) as (first, second):
        for number in range(RACES // 2):
            waiting = await wait_with_questions(first, "Who is first?")
            (review,) = waiting.reviews
            answer = new_run(waiting.run.thread_id, graph_id="one", options={"command": {"resume": "client"}})
            racing = [
                first.submission.submit(answer),
                second.reviews.decide(review.review_id, BOB, {"kind": "answer", "value": "bob"}),
            ]
            random.Random(number).shuffle(racing)
            results = await asyncio.gather(*racing, return_exceptions=True)
            assert [isinstance(each, Conflict) for each in results].count(True) == 1, results
            (resumed,) = await runs_of(first, waiting)
            decided = await first.reviews.get(review.review_id)
            assert (decided.state, decided.resumed_by) == (ReviewState.DECIDED, resumed.run_id)
            assert (resumed.options.command or {})["resume"] in (decided.answer, {review.interrupt_id: decided.answer})
            await first.threads.delete(waiting.run.thread_id)


Operation = Callable[[], Awaitable[Any]]

POLICY = ReviewPolicy(quorum=2, due_s=3600, default="reject")
QUESTION = CALL | {"slipway": {"call": "k", "hash": "h"} | POLICY.stored()}


class Interleaving:
    """Everybody who can do something to one waiting run with a free question and one about a call."""

    def __init__(self, seed: int, processes: list[Services], waiting: WaitingRun) -> None:
        self.random, self.processes, self.waiting = random.Random(seed), processes, waiting
        self.call, self.free = waiting.reviews

    @property
    def services(self) -> Services:
        return self.random.choice(self.processes)

    def operations(self) -> list[Operation]:
        """Some operations in a random order. Each may come twice."""
        every = [self.approve, self.approve, self.approve, self.reject, self.answer, self.answer, self.answer_by_client]
        every += [self.expire, self.claim, self.edit]
        chosen = self.random.sample(every, self.random.randint(3, 8))
        if self.random.random() < 0.4:
            chosen.append(self.random.choice([self.cancel, self.new_run, self.ask_again]))
            self.random.shuffle(chosen)
        return chosen

    def store(self) -> ReviewStore:
        """Sometimes of a process that dies when a decision is stored, and so does not resume the run."""
        services = self.services
        if self.random.random() < 0.3:
            return ReviewStore(services.pipeline, services.shards, services.audit, ResumedByDuty())
        return services.reviews

    def _decide(self, review: Review, body: dict[str, Any]) -> Awaitable[Review]:
        return self.store().decide(review.review_id, Actor(self.random.choice("abc")), body)

    def approve(self) -> Awaitable[Any]:
        return self._decide(self.call, {"kind": "approve"})

    def reject(self) -> Awaitable[Any]:
        return self._decide(self.call, {"kind": "reject"})

    def edit(self) -> Awaitable[Any]:
        return self._decide(self.call, {"kind": "edit", "args": {"amount": 1}})

    def answer(self) -> Awaitable[Any]:
        return self._decide(self.free, {"kind": "answer", "value": self.random.randint(1, 9)})

    def claim(self) -> Awaitable[Any]:
        return self.services.reviews.claim(self.free.review_id, Actor("a"))

    def answer_by_client(self) -> Awaitable[Any]:
        resume = {self.free.interrupt_id: "client"}
        return self._submit({"input": None, "command": {"resume": resume}})

    def new_run(self) -> Awaitable[Any]:
        return self._submit({"input": {"answers": []}})

    def ask_again(self) -> Awaitable[Any]:
        return self._submit({"input": None})

    def _submit(self, options: dict[str, Any]) -> Awaitable[Any]:
        spec = new_run(self.waiting.run.thread_id, graph_id="one", options=options)
        return self.services.submission.submit(spec)

    def cancel(self) -> Awaitable[Any]:
        return self.services.run_operations.cancel(self.waiting.run.run_id, Operator("op"))

    async def expire(self) -> None:
        """The due time of the call comes, and a duty finds it."""
        services = self.services
        await services.pipeline.send("HSET", services.keys.review(self.call.review_id), "due_us", 1)
        await services.pipeline.send("ZADD", services.keys.reviews_due, 1, self.call.review_id)
        await Reviews(services).run_once()


@pytest.mark.parametrize("part", range(2))
async def test_no_interleaving_gives_two_decisions_or_an_unapproved_act(
    settings: Settings, graphs: Registry, part: int
) -> None:
    async with processes(settings, graphs, 2) as opened:
        for seed in range(part, RACES, 2):
            waiting = await wait_with_questions(opened[0], QUESTION, "Which?")
            interleaving = Interleaving(seed, opened, waiting)
            outcomes = await asyncio.gather(*(each() for each in interleaving.operations()), return_exceptions=True)
            unexpected = [each for each in outcomes if isinstance(each, Exception) and not _is_expected(each)]
            assert unexpected == [], f"seed {seed}"
            await Reviews(opened[1]).run_once()
            await check_invariants(opened[0], waiting, f"seed {seed}")
            await opened[0].threads.delete(waiting.run.thread_id)


def _is_expected(error: Exception) -> bool:
    """Whether a client gets this error if others were quicker."""
    return isinstance(error, (Conflict, NotFound))


async def check_invariants(services: Services, waiting: WaitingRun, label: str) -> None:
    run = await services.runs.find(waiting.run.run_id)
    reviews = await services.reviews.of_run(run.run_id)
    others = await runs_of(services, waiting)
    resuming = [each for each in others if each.resumes == run.run_id]
    assert len(resuming) <= 1, label
    entries = await services.audit.read(run.run_id)
    for review in reviews:
        made = [
            entry
            for entry in entries
            if entry.details.get("review_id") == review.review_id
            and entry.action in ("review.decided", "review.expired")
        ]
        assert len(made) <= 1, label
        assert (review.outcome is not None) == bool(made), label
        if review.state in (ReviewState.DECIDED, ReviewState.EXPIRED):
            (resumed,) = resuming
            resume = (resumed.options.command or {}).get("resume", {})
            assert resume[review.interrupt_id] == review.answer, label
            assert review.resumed_by == resumed.run_id, label
    if run.phase is Phase.WAITING_FOR_APPROVAL:
        assert others == [], label
        assert any(review.state not in ENDED | {ReviewState.HELD} for review in reviews), f"{label}: not resumed"
    else:
        assert all(review.state in ENDED for review in reviews), label
    if run.phase is Phase.CANCELLED:
        assert resuming == [], label
    call = reviews[0]
    approvers = await approved_call(services.pipeline, services.keys, run.thread_id, "k")("h", 2)
    if approvers is not None:
        assert len(set(approvers)) >= 2, label
        assert call.outcome is None or call.outcome.decisions == [{"kind": "approve"}], label
