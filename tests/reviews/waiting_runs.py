"""Runs that wait with open reviews, made by the real scripts without executing a graph, and operations on them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from slipway.graphs.registry import Registry
from slipway.graphs.review_policy import ReviewPolicies, ReviewPolicy
from slipway.reviews.opening import opened_reviews
from slipway.reviews.record import Review
from slipway.runs.attempt_writer import AttemptWriter
from slipway.runs.record import Phase, Run, new_id, run_from
from slipway.runs.review_arguments import question_digest
from slipway.runs.settlement import AskedQuestion, Settlement, ThreadSummary
from slipway.services import Services, open_services
from slipway.settings import Settings
from tests.runs.conftest import new_run

NO_POLICY = ReviewPolicy()


@dataclass(frozen=True, slots=True)
class WaitingRun:
    """A run in phase `waiting_for_approval`, and its reviews."""

    run: Run
    reviews: list[Review]


@asynccontextmanager
async def processes(settings: Settings, graphs: Registry, count: int) -> AsyncIterator[list[Services]]:
    """The services of so many web processes, each with connections of its own."""
    if count == 0:
        yield []
        return
    async with open_services(settings, graphs, "web") as services, processes(settings, graphs, count - 1) as others:
        yield [services, *others]


async def wait_with_questions(services: Services, *questions: Any, policy: ReviewPolicy = NO_POLICY) -> WaitingRun:
    """A run on a new thread that has asked these questions."""
    thread = (await services.threads.create_or_get(new_id(), {}))[0].thread_id
    await services.submission.submit(new_run(thread, graph_id="one"))
    _, (fields,), *_ = await services.queues[0].run_claim("w", 1, 60_000)
    run = run_from(fields)
    assert run.thread_id == thread
    return await ask(services, run, *questions, policy=policy)


async def ask(services: Services, run: Run, *questions: Any, policy: ReviewPolicy = NO_POLICY) -> WaitingRun:
    """The claimed run, which asks these questions."""
    asked = [AskedQuestion({"id": f"{i:032x}", "value": each}, "ask") for i, each in enumerate(questions)]
    summary = ThreadSummary(b"{}", "", b"{}", "interrupted", asked)
    await AttemptWriter(services.scripts, run).settle(
        Settlement(
            Phase.WAITING_FOR_APPROVAL,
            usage="[]",
            event_ttl_s=60,
            thread=summary,
            reviews=opened_reviews(run, asked, ReviewPolicies(policy), _of_the_gateway(questions)),
        )
    )
    return WaitingRun(await services.runs.find(run.run_id), await services.reviews.of_run(run.run_id))


def _of_the_gateway(questions: Sequence[Any]) -> set[str]:
    return {question_digest(each) for each in questions if isinstance(each, dict) and "slipway" in each}


async def runs_of(services: Services, waiting: WaitingRun) -> list[Run]:
    """The other runs of its thread."""
    runs = await services.runs.list(waiting.run.thread_id, limit=100)
    return [run for run in runs if run.run_id != waiting.run.run_id]
