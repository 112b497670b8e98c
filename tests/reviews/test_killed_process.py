"""A process dies between the last answer to a run and the run that has the answers."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys

import pytest

from slipway.failpoints import VARIABLE
from slipway.graphs.registry import Registry
from slipway.reviews.record import ReviewState
from slipway.settings import Settings
from slipway_workers.duties.reviews import Reviews
from tests.environment import PYTHON_PATH, bare_environment
from tests.reviews.waiting_runs import processes, runs_of, wait_with_questions

pytestmark = pytest.mark.processes

DECIDES = """
import asyncio, sys
from slipway import failpoints
from slipway.graphs.registry import Registry
from slipway.reviews.actor import Actor
from slipway.services import open_services
from slipway.settings import Settings

async def decide():
    settings = Settings.from_values({"redis_url": sys.argv[1], "key_prefix": sys.argv[2], "config": sys.argv[3]})
    async with open_services(settings, await Registry.load(settings.config), "web") as services:
        await services.reviews.decide(sys.argv[4], Actor("bob"), {"kind": "answer", "value": 1})

failpoints.arm()
asyncio.run(decide())
"""


async def test_the_run_resumes_once_after_the_process_that_stored_the_last_answer_was_killed(
    settings: Settings, graphs: Registry
) -> None:
    async with processes(settings, graphs, 1) as (services,):
        waiting = await wait_with_questions(services, "How many?")
        (review,) = waiting.reviews
        values = (settings.redis, settings.key_prefix, str(settings.config), review.review_id)
        killed = await asyncio.to_thread(
            subprocess.run,
            [sys.executable, "-c", DECIDES, *values],
            env=bare_environment() | {VARIABLE: "review_answered", "PYTHONPATH": PYTHON_PATH},
            stdout=subprocess.DEVNULL,
            timeout=60,
            check=False,
        )
        assert killed.returncode == -signal.SIGKILL
        assert (await services.reviews.get(review.review_id)).state is ReviewState.HELD
        assert await runs_of(services, waiting) == []
        await asyncio.gather(*(Reviews(services).run_once() for _ in range(3)))
        (resumed,) = await runs_of(services, waiting)
        assert resumed.options.command == {"resume": {review.interrupt_id: 1}}
        decided = await services.reviews.get(review.review_id)
        assert (decided.state, decided.resumed_by) == (ReviewState.DECIDED, resumed.run_id)
