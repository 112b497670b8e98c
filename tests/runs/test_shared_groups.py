"""Concurrency groups whose slots several shards of threads share."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any, Final

import pytest

from slipway.redis.shards import Shards
from slipway.runs.group_exchange import GroupExchange
from slipway.runs.record import Phase, Run, new_id
from slipway_workers.duties.group_slots import INTERVAL_S
from tests.runs import group_process
from tests.runs.claiming_workers import claiming_worker
from tests.runs.conftest import Stores, opened
from tests.waiting import wait_until

SHARDS: Final = 8
RUNS: Final = 200
ROOT: Final = Path(__file__).parents[2]

_RUNNING: Final = """
-- a test looks into all shards
local running = 0
for _, name in ipairs(KEYS) do running = running + redis.call('SCARD', name) end
return running
"""


@pytest.fixture
async def stores(valkey_url: str, shards: Shards) -> AsyncIterator[Stores]:
    """Stores of a deployment with several shards of threads, on one server."""
    async with opened(valkey_url, Shards(shards.prefix, SHARDS).records) as stores:
        yield stores


async def running_of(stores: Stores, group: str) -> int:
    """How many runs of a group execute in all shards, at one moment."""
    names = [keys.group_runs(group) for keys in stores.shards.threads]
    return int(await stores.pipeline.send("EVAL", _RUNNING, len(names), *names))


@asynccontextmanager
async def duties(stores: Stores) -> AsyncIterator[None]:
    """Performs the duties `group_slots` and `queue_watch`, as one of the workers of a deployment does."""
    exchange = GroupExchange(stores.pipeline, stores.shards)

    async def perform() -> None:
        while True:
            await asyncio.sleep(INTERVAL_S)  # the interval of the duties
            await asyncio.gather(exchange.continue_exchanges(), *(queue.watch() for queue in stores.queues))

    task = asyncio.create_task(perform())
    try:
        yield
    finally:
        task.cancel()


async def created(stores: Stores, groups: list[tuple[str, int]], count: int = RUNS) -> list[Run]:
    return list(
        await asyncio.gather(*(stores.create_run(new_id(), create_thread=True, groups=groups) for _ in range(count)))
    )


async def ended(stores: Stores, runs: Sequence[Run]) -> int:
    phases = await asyncio.gather(*(stores.phase_of(run) for run in runs))
    return phases.count(Phase.COMPLETED)


def _is_in(run_id: str, executed: Sequence[str]) -> bool:
    return run_id in executed


@pytest.mark.parametrize("limit", [1, 3])
async def test_a_limit_holds_for_the_runs_of_all_shards_and_none_waits_for_ever(
    stores: Stores, valkey_url: str, limit: int
) -> None:
    runs = await created(stores, [("g", limit)])
    assert len({stores.shards.number_of_run(run.run_id) for run in runs}) == SHARDS
    most, executed = 0, list[str]()

    async def execute(ctx: dict[str, Any], run: Run, claim_sent_at: float) -> None:
        nonlocal most
        most = max(most, await running_of(stores, "g"))
        executed.append(run.run_id)
        await stores.settle(run)

    async with duties(stores), AsyncExitStack() as stack:
        for number in range(4):
            await stack.enter_async_context(claiming_worker(valkey_url, stores, execute, f"w{number}", max_runs=4))
        await wait_until(lambda: len(executed) >= RUNS, within_s=60)
    assert sorted(executed) == sorted(run.run_id for run in runs), "each was executed once"
    assert most == limit


@pytest.mark.processes
@pytest.mark.parametrize("limit", [1, 3])
async def test_a_limit_holds_when_workers_are_killed(stores: Stores, valkey_url: str, limit: int) -> None:
    runs = await created(stores, [("g", limit)])
    command = [sys.executable, "-m", group_process.__name__, valkey_url, stores.shards.prefix, str(SHARDS)]
    started = 0

    def start() -> tuple[str, subprocess.Popen[bytes]]:
        nonlocal started
        started += 1
        name = f"w{started}."
        return name, subprocess.Popen([*command, name], cwd=ROOT)

    workers = [start() for _ in range(3)]
    most = 0
    try:
        for step in range(1, 7):

            async def is_reached(step: int = step) -> bool:
                nonlocal most
                most = max(most, await running_of(stores, "g"))
                return await ended(stores, runs) >= step * RUNS // 8

            await wait_until(is_reached, within_s=60)
            name, victim = workers.pop(0)
            victim.kill()
            victim.wait()
            for queue in stores.queues:
                await queue.run_reap(event_ttl_s=60, pause_ms=0, worker=name)
            workers.append(start())

        async def all_ended() -> bool:
            nonlocal most
            most = max(most, await running_of(stores, "g"))
            return await ended(stores, runs) == RUNS

        await wait_until(all_ended, within_s=60)
    finally:
        for _, worker in workers:
            worker.kill()
            worker.wait()
    assert most == limit


async def test_a_slot_that_no_run_uses_goes_to_the_shard_that_wants_it(stores: Stores, valkey_url: str) -> None:
    executed = list[str]()

    async def execute(ctx: dict[str, Any], run: Run, claim_sent_at: float) -> None:
        executed.append(run.run_id)
        await stores.settle(run)

    async with duties(stores), claiming_worker(valkey_url, stores, execute):
        for _ in range(20):
            (run,) = await created(stores, [("g", 1)], 1)
            await wait_until(partial(_is_in, run.run_id, executed), within_s=5)


async def test_runs_of_two_groups_execute(stores: Stores, valkey_url: str) -> None:
    runs = await created(stores, [("g", 2), ("h", 1)], 40)
    most, executed = [0, 0], list[str]()

    async def execute(ctx: dict[str, Any], run: Run, claim_sent_at: float) -> None:
        for place, group in enumerate("gh"):
            most[place] = max(most[place], await running_of(stores, group))
        executed.append(run.run_id)
        await stores.settle(run)

    async with (
        duties(stores),
        claiming_worker(valkey_url, stores, execute, "w1", max_runs=4),
        claiming_worker(valkey_url, stores, execute, "w2", max_runs=4),
    ):
        await wait_until(lambda: len(executed) >= len(runs), within_s=60)
    assert most == [1, 1]
