"""The Redis round trips of a run, counted on the server and on the pipelines.

The tests count round trips, not time, so an added round trip fails on any machine. Timers and a busy machine can only
add commands, so the minimum of several runs is compared.
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
from tests.http.conftest import serving
from tests.waiting import wait_until
from tests.worker import running_worker

RUNS = 7
STEPS = 10

ONCE = {
    "run_create": 1,
    "run_claim": 1,
    "run_settle": 1,
    "subscribe": 1,  # sent without waiting for the reply
    "unsubscribe": 1,
}
"""All commands of a run except `run_apply`. The response needs no read."""


WORKER_TRIPS = 2
"""Claim and settle. A thread that has checkpoints costs a read more: LangGraph asks for the newest."""

PER_STEP = 1
"""Groups of one superstep, sent before its nodes run: the writes, the checkpoint and the events of the superstep before
share one. Those of the last superstep are sent with the settle."""


MOST_IN_SCRIPTS = {"new": 82, "second": 90}
"""The most Redis commands that the scripts of a small run execute, on a new thread and on one that had a run. They are
about four fifths of the CPU that Redis spends on a run (ARCHITECTURE.md, "What a script costs")."""


@dataclass(frozen=True, slots=True)
class Stage:
    """An application and a worker in this process, their services, and a way to count what they ask."""

    client: Connection
    web: Services
    worker: Services
    redis_url: str
    pipeline: Pipeline


@dataclass(frozen=True, slots=True)
class Counts:
    """What one run counts: commands on the server, and writes on the pipelines of the two processes."""

    commands: Commands
    web_trips: int
    worker_trips: int


@pytest.fixture(scope="module")
def graphs() -> Registry:
    """The graphs of the benchmarks."""
    return asyncio.run(Registry.load(CONFIG))


@pytest.fixture
async def stage(
    valkey_url: str, keys: Keys, pipeline: Pipeline, graphs: Registry, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Stage]:
    """The intervals of duties, and of reading switches and rollouts, are so long that none ends during a test."""
    monkeypatch.setattr("slipway.switches.watch.POLL_S", 300)
    monkeypatch.setattr("slipway.rollouts.watch.POLL_S", 300)
    settings = Settings.from_values(
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


async def _run(stage: Stage, steps: int, how: str) -> Counts:
    """Execute one run on a new thread and wait until its commands have ended."""
    web, worker = stage.web.pipeline.round_trips, stage.worker.pipeline.round_trips
    async with count_commands(stage.redis_url, stage.pipeline) as commands:
        request = run_of("loop", {"count": 0, "until": steps}, config={"recursion_limit": steps + 10})
        await stage.client.post(f"{new_thread()}/runs/{how}", request)
        await wait_until(lambda: commands["unsubscribe"] and commands["run_settle"])
    return Counts(commands, stage.web.pipeline.round_trips - web, stage.worker.pipeline.round_trips - worker)


async def _minimum(stage: Stage, steps: int, how: str) -> Counts:
    """The minimum of each count over several runs."""
    await _run(stage, steps, how)  # loads the scripts
    runs = [await _run(stage, steps, how) for _ in range(RUNS)]
    least = Commands()
    for name in set().union(*(run.commands for run in runs)):
        if count := min(run.commands[name] for run in runs):
            least[name] = count
    return Counts(least, min(run.web_trips for run in runs), min(run.worker_trips for run in runs))


@pytest.mark.parametrize("how", ["wait", "stream"])
async def test_a_new_run_sends_each_command_once(stage: Stage, how: str) -> None:
    counts = await _minimum(stage, STEPS, how)
    writes = counts.commands.pop("run_apply")
    assert dict(counts.commands) == ONCE
    assert writes == PER_STEP * STEPS - (how == "wait"), "nobody follows: the first group waits for the first superstep"
    assert counts.web_trips == 1, "create; the end event contains the response"
    assert counts.worker_trips <= PER_STEP * STEPS + WORKER_TRIPS


async def test_a_further_superstep_adds_only_writes(stage: Stage) -> None:
    few, many = await _minimum(stage, STEPS, "wait"), await _minimum(stage, 3 * STEPS, "wait")
    assert many.commands["run_apply"] - few.commands["run_apply"] <= PER_STEP * 2 * STEPS
    assert many.worker_trips - few.worker_trips <= PER_STEP * 2 * STEPS
    assert set(many.commands) == set(few.commands)
    assert many.web_trips == few.web_trips


async def test_the_scripts_of_a_small_run_execute_few_commands(stage: Stage) -> None:
    fewest = {"new": 1000, "second": 1000}
    for _ in range(RUNS):
        thread = new_thread()
        for kind, count in fewest.items():
            fewest[kind] = min(count, await _commands_in_scripts(stage, thread))
    assert {kind: count for kind, count in fewest.items() if count > MOST_IN_SCRIPTS[kind]} == {}
    assert min(fewest.values()) > 30, "otherwise they were not counted"


async def _commands_in_scripts(stage: Stage, thread: str) -> int:
    async with count_commands(stage.redis_url, stage.pipeline) as commands:
        await stage.client.post(f"{thread}/runs/wait", run_of("small", {"text": "hello"}))
        await wait_until(lambda: commands["unsubscribe"] and commands["run_settle"])
    return commands.inner.total()
