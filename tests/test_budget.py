"""What a run may ask of Redis: the budget of round trips, counted on the server and on the pipelines.

Structure, not time: whoever adds a round trip to the way of a run fails here, on the fastest machine too. Timers (a
worker looks for work every second) and a busy machine can only add; so the least of several runs is what counts.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest

from slipway.graphs.registry import Registry
from slipway.redis.keys import Keys
from slipway.redis.pipeline import Pipeline
from slipway.services import Services
from slipway.settings import Settings
from tests.bench.client import Connection, connections, new_thread, run_of
from tests.bench.monitor import Commands, count_commands
from tests.bench.setup import CONFIG
from tests.conftest import wait_until
from tests.http.conftest import serving
from tests.worker import running_worker

RUNS = 7
STEPS = 10

ONCE = {
    "run_create": 1,
    "run_claim": 1,
    "run_settle": 1,
    "blpop": 1,  # the worker waits for the next wake-up
    "subscribe": 1,  # said, not waited for
    "unsubscribe": 1,
}
"""Everything but `run_apply`. What is not named is not asked: nothing is read to answer."""


WORKER_TRIPS = 2
"""Claim and settle. A thread that has checkpoints costs a read more: LangGraph asks for the newest."""

BESIDE_STEPS = 2
"""Groups of an attempt that belong to no superstep: what the last one leaves, when the settle comes too late for it."""

PER_STEP = 1
"""Groups of one superstep: its writes, its checkpoint and its events share one."""


@dataclass(frozen=True, slots=True)
class Stage:
    """An application and a worker in this process, their services, and a way to count what they ask."""

    client: Connection
    web: Services
    worker: Services
    redis_url: str
    pipeline: Pipeline


@dataclass(frozen=True, slots=True)
class Asked:
    """What one run asked: commands on the server, and writes on the pipelines of the two processes."""

    commands: Commands
    web_trips: int
    worker_trips: int


@pytest.fixture(scope="module")
def graphs() -> Registry:
    """The graphs of the benchmarks."""
    return asyncio.run(Registry.load(CONFIG))


@pytest.fixture
async def stage(valkey_url: str, keys: Keys, pipeline: Pipeline, graphs: Registry) -> AsyncIterator[Stage]:
    """With duties so rare that none falls into a test."""
    settings = Settings.of(
        {
            "redis_url": valkey_url,
            "key_prefix": keys.prefix,
            "config": CONFIG,
            "lease_s": 300,
            "heartbeat_s": 100,
            "reap_every_s": 300,
        }
    )
    async with (
        serving(settings, graphs) as served,
        running_worker(settings, graphs) as (_, worker),
        connections(served.url, 1) as (client,),
    ):
        yield Stage(client, served.services, worker, valkey_url, pipeline)


async def _run(stage: Stage, steps: int, how: str) -> Asked:
    """One new run on a new thread, after which nothing is under way."""
    web, worker = stage.web.pipeline.round_trips, stage.worker.pipeline.round_trips
    async with count_commands(stage.redis_url, stage.pipeline) as commands:
        request = run_of("loop", {"count": 0, "until": steps}, config={"recursion_limit": steps + 10})
        await stage.client.post(f"{new_thread()}/runs/{how}", request)
        await wait_until(lambda: commands["unsubscribe"] and commands["blpop"])
    return Asked(commands, stage.web.pipeline.round_trips - web, stage.worker.pipeline.round_trips - worker)


async def _least(stage: Stage, steps: int, how: str) -> Asked:
    """The fewest of everything over several runs."""
    await _run(stage, steps, how)  # loads the scripts
    runs = [await _run(stage, steps, how) for _ in range(RUNS)]
    least = Commands()
    for name in set().union(*(run.commands for run in runs)):
        if count := min(run.commands[name] for run in runs):
            least[name] = count
    return Asked(least, min(run.web_trips for run in runs), min(run.worker_trips for run in runs))


@pytest.mark.parametrize("how", ["wait", "stream"])
async def test_a_new_run_asks_for_each_of_its_moments_once(stage: Stage, how: str) -> None:
    asked = await _least(stage, STEPS, how)
    writes = asked.commands.pop("run_apply")
    assert dict(asked.commands) == ONCE
    assert writes <= PER_STEP * STEPS + BESIDE_STEPS
    assert asked.web_trips == 1, "create; the answer rides on the end event"
    assert asked.worker_trips <= PER_STEP * STEPS + BESIDE_STEPS + WORKER_TRIPS


async def test_a_further_superstep_adds_writes_alone(stage: Stage) -> None:
    few, many = await _least(stage, STEPS, "wait"), await _least(stage, 3 * STEPS, "wait")
    assert many.commands["run_apply"] - few.commands["run_apply"] <= PER_STEP * 2 * STEPS + BESIDE_STEPS
    assert many.worker_trips - few.worker_trips <= PER_STEP * 2 * STEPS + BESIDE_STEPS
    assert set(many.commands) == set(few.commands)
    assert many.web_trips == few.web_trips
