"""Workers that wait for jobs of eight shards: who is woken, what idle ones send, and that no job is left waiting."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any
from uuid import uuid4

import pytest

from slipway.redis.connection import Address
from slipway.redis.shards import Shards
from slipway.runs.leases import LeaseRenewer, reap
from slipway.runs.record import Run, new_id
from slipway.runs.worker_list_scripts import WorkerListScripts
from slipway_workers.claim_turns import ClaimTurns
from slipway_workers.duties.queue_watch import QueueRound
from tests.bench.monitor import count_commands
from tests.runs.claiming_workers import Claiming, claiming_worker
from tests.runs.conftest import Stores, settings_of
from tests.waiting import Eventually, wait_until

SHARDS = 8
counts_commands = pytest.mark.skipif(
    os.environ.get("SLIPWAY_TEST_CLUSTER") == "1", reason="MONITOR shows the commands of one server"
)
WAITING = "waiting_workers"


@pytest.fixture
def shards() -> Shards:
    return Shards(f"test-{uuid4().hex}", SHARDS)


async def waiting_in(stores: Stores, shard: int) -> list[str]:
    """The names of the workers that wait for jobs of a shard, the one that has waited longest first."""
    members = await stores.pipeline.send("ZRANGE", stores.shards.threads[shard].named(WAITING), 0, -1)
    return [member.decode().strip() for member in members]


async def run_in(stores: Stores, shard: int, **fields: Any) -> Run:
    """A new run on a new thread of a shard."""
    thread_id = next(each for each in iter(new_id, "") if stores.shards.number_of_thread(each) == shard)
    await stores.threads.create_or_get(thread_id, {})
    return await stores.create_run(thread_id, **fields)


async def all_wait(stores: Stores, *names: str) -> None:
    """Waits until these workers wait for jobs of all shards."""

    async def wait() -> bool:
        return all([sorted(await waiting_in(stores, shard)) == sorted(names) for shard in range(SHARDS)])

    await wait_until(wait)


class Executions:
    """What workers execute: by run, the worker. Each execution waits for `gate`."""

    def __init__(self) -> None:
        self.workers: dict[str, str] = {}
        self.gate = asyncio.Event()

    def on(self, name: str) -> Callable[[dict[str, Any], Run, float], Any]:
        async def execute(_: dict[str, Any], run: Run, claim_sent_at: float) -> None:
            assert run.run_id not in self.workers, "claimed once"
            self.workers[run.run_id] = name
            await self.gate.wait()

        return execute


@pytest.fixture
def executions() -> Executions:
    return Executions()


@asynccontextmanager
async def workers(
    url: str, stores: Stores, executions: Executions, *names: str, max_runs: int = 10
) -> AsyncIterator[list[Claiming]]:
    """Workers that wait for jobs of all shards, in this order."""
    async with AsyncExitStack() as stack:
        started: list[Claiming] = []
        for name in names:
            started.append(
                await stack.enter_async_context(
                    claiming_worker(url, stores, executions.on(name), name, max_runs=max_runs)
                )
            )
            await all_wait(stores, *names[: len(started)])
        yield started
        executions.gate.set()


@counts_commands
async def test_a_job_in_any_shard_wakes_one_worker_which_claims_it(
    valkey_url: str, stores: Stores, executions: Executions
) -> None:
    executions.gate.set()
    async with workers(valkey_url, stores, executions, "a", "b", "c") as claiming:
        async with count_commands(valkey_url, stores.pipeline) as commands:
            for shard in range(SHARDS):
                await run_in(stores, shard)
                await wait_until(lambda: len(executions.workers) == shard + 1)  # noqa: B023
                await all_wait(stores, "a", "b", "c")
        assert commands["run_claim"] == SHARDS
        assert sorted(shard for each in claiming for shard in each.wakes) == list(range(SHARDS))
    assert len(executions.workers) == SHARDS


async def test_the_worker_that_has_waited_longest_is_woken(
    valkey_url: str, stores: Stores, executions: Executions
) -> None:
    async with workers(valkey_url, stores, executions, "a", "b", "c"):
        runs = [await run_in(stores, 3) for _ in range(3)]
        await wait_until(lambda: len(executions.workers) == 3)
    assert {executions.workers[run.run_id] for run in runs} <= {"a", "b", "c"}
    assert executions.workers[runs[0].run_id] == "a"


@counts_commands
async def test_an_idle_worker_sends_only_its_health(valkey_url: str, stores: Stores, executions: Executions) -> None:
    async with workers(valkey_url, stores, executions, "a", "b"):
        async with count_commands(valkey_url, stores.pipeline) as commands:
            await asyncio.sleep(3)  # what is counted is sent in this time
        assert set(commands) <= {"psetex", "ping"}
        assert commands["psetex"] >= 2


async def test_a_full_worker_passes_the_wake_on(valkey_url: str, stores: Stores, executions: Executions) -> None:
    async with workers(valkey_url, stores, executions, "a", max_runs=1) as (first,):
        held = await run_in(stores, 0)
        await wait_until(lambda: held.run_id in executions.workers)
        await wait_until(lambda: first.health.pending() == ())
        async with claiming_worker(valkey_url, stores, executions.on("b"), "b") as second:
            await wait_until(lambda: second.health.pending() == ())
            assert await waiting_in(stores, 5) == ["a", "b"]
            run = await run_in(stores, 5)
            await wait_until(lambda: run.run_id in executions.workers)
            assert executions.workers[run.run_id] == "b"
            assert (first.wakes, second.wakes) == ([0, 5], [5])
            executions.gate.set()


async def test_jobs_for_which_only_full_workers_were_woken_are_claimed_when_one_has_a_free_slot(
    valkey_url: str, stores: Stores, executions: Executions
) -> None:
    async with workers(valkey_url, stores, executions, "a", "b", max_runs=1):
        runs = [await run_in(stores, shard) for shard in range(SHARDS)]
        await wait_until(lambda: len(executions.workers) == 2)
        executions.gate.set()
        await wait_until(lambda: len(executions.workers) == len(runs))


async def test_a_draining_worker_leaves_jobs_to_others(valkey_url: str, stores: Stores, executions: Executions) -> None:
    executions.gate.set()
    async with workers(valkey_url, stores, executions, "a", "b") as (first, _):
        thread_id = next(each for each in iter(new_id, "") if stores.shards.number_of_thread(each) == 4)
        await stores.threads.create_or_get(thread_id, {})
        creating = asyncio.create_task(stores.create_run(thread_id))
        await asyncio.sleep(0)
        first.worker.stop_claiming()  # the script wakes this worker, which has waited longest
        run = await creating
        await wait_until(lambda: run.run_id in executions.workers)
        await all_wait(stores, "b")
        assert executions.workers[run.run_id] == "b"


@pytest.mark.processes
async def test_a_job_whose_worker_was_killed_after_it_was_woken_is_claimed_by_another(
    valkey_url: str, stores: Stores, executions: Executions
) -> None:
    prefix = stores.shards.prefix
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.runs.claiming_process", valkey_url, prefix, str(SHARDS), "killed"),
        stdout=asyncio.subprocess.PIPE,
        start_new_session=True,
    )
    try:
        assert process.stdout is not None
        assert await process.stdout.readline() == b"waits\n"
        async with claiming_worker(valkey_url, stores, executions.on("a"), "a") as claiming:
            await wait_until(lambda: claiming.health.pending() == ())
            os.kill(process.pid, signal.SIGSTOP)  # it receives the message and does nothing
            run = await run_in(stores, 6)
            assert await waiting_in(stores, 6) == ["a"], "the killed worker was woken"
            os.kill(process.pid, signal.SIGKILL)
            await process.wait()
            await QueueRound(stores.queues, lambda shard: None).run()
            await wait_until(lambda: run.run_id in executions.workers)
            assert claiming.wakes == [6]
            executions.gate.set()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def test_a_dead_worker_that_waits_is_skipped(valkey_url: str, stores: Stores, executions: Executions) -> None:
    executions.gate.set()
    async with claiming_worker(valkey_url, stores, executions.on("a"), "a") as claiming:
        for dead in ("dead-1", "dead-2", "dead-3"):
            await stores.pipeline.send("ZADD", stores.shards.threads[2].named(WAITING), 1, f" {dead}")
        await all_wait_in(stores, 2, "dead-1", "dead-2", "dead-3", "a")
        run = await run_in(stores, 2)
        await wait_until(lambda: run.run_id in executions.workers, beside=claiming.task)


async def all_wait_in(stores: Stores, shard: int, *names: str) -> None:
    async def wait() -> bool:
        return await waiting_in(stores, shard) == list(names)

    await wait_until(wait)


async def test_the_watch_wakes_its_own_worker_if_nobody_waits(stores: Stores) -> None:
    for shard in (1, 7):
        await run_in(stores, shard)
    woken: list[int] = []
    await QueueRound(stores.queues, woken.append).run()
    assert sorted(woken) == [1, 7]


async def test_a_shard_with_many_jobs_does_not_hold_up_the_others(
    valkey_url: str, stores: Stores, executions: Executions
) -> None:
    executions.gate.set()
    busy = [await run_in(stores, 0) for _ in range(60)]
    others = [await run_in(stores, shard) for shard in range(1, SHARDS) for _ in range(2)]
    async with claiming_worker(valkey_url, stores, executions.on("a"), "a", max_runs=2) as claiming:
        await wait_until(lambda: len(executions.workers) == len(busy) + len(others), beside=claiming.task)
    order = list(executions.workers)
    assert max(order.index(run.run_id) for run in others) < 2 * len(others)


async def test_higher_priority_is_claimed_first_in_its_shard(
    valkey_url: str, stores: Stores, executions: Executions
) -> None:
    executions.gate.set()
    runs = [await run_in(stores, 3, priority=priority) for priority in ("low", "normal", "high")]
    async with claiming_worker(valkey_url, stores, executions.on("a"), "a", max_runs=1):
        await wait_until(lambda: len(executions.workers) == len(runs))
    assert list(executions.workers) == [run.run_id for run in reversed(runs)]


async def test_a_delayed_run_starts_when_it_is_due(valkey_url: str, stores: Stores, executions: Executions) -> None:
    executions.gate.set()
    async with workers(valkey_url, stores, executions, "a", "b"):
        started = time.monotonic()
        run = await run_in(stores, 5, after_s=1)
        await wait_until(lambda: run.run_id in executions.workers)
        assert 0.95 <= time.monotonic() - started < 3


async def test_suspects_of_one_crash_start_one_by_one_although_they_are_in_several_shards(
    valkey_url: str, stores: Stores, executions: Executions, eventually: Eventually
) -> None:
    runs = [await run_in(stores, shard) for shard in range(4)]
    assert len(await stores.claim(worker="dead")) == len(runs)
    await stores.reap("dead")
    starts: list[float] = []

    async def execute(_: dict[str, Any], run: Run, claim_sent_at: float) -> None:
        starts.append(time.monotonic())
        await executions.gate.wait()

    async with claiming_worker(valkey_url, stores, execute, "a", max_runs=10) as claiming:
        await eventually(lambda: len(starts) == len(runs), beside=claiming.task)
        executions.gate.set()
    assert starts[1] - starts[0] > 0.2, "the first suspect has survived"


@pytest.mark.parametrize("one_by_one", [True, False])
async def test_only_the_likely_cause_of_a_crash_uses_up_an_attempt_although_its_runs_are_in_several_shards(
    valkey_url: str, stores: Stores, one_by_one: bool
) -> None:
    """`one_by_one`: each shard is reclaimed without knowing the others."""
    cause = await run_in(stores, 1)
    await stores.claim(worker="first")
    await stores.reap("first")
    innocent = await run_in(stores, 2)
    assert len(await stores.claim(worker="second")) == 2
    if one_by_one:
        await stores.reap("second")
    else:
        await reap(stores.queues, settings_of(valkey_url, stores.keys), worker="second")
    uncounted = [
        await stores.pipeline.send("HGET", stores.keys.run(run.run_id), "uncounted_attempts")
        for run in (cause, innocent)
    ]
    assert uncounted == [None, None if one_by_one else b"1"]


async def test_every_shard_knows_a_worker_that_starts_and_stops(valkey_url: str, stores: Stores) -> None:
    settings = settings_of(valkey_url, stores.keys)
    renewer = LeaseRenewer(Address(valkey_url), stores.shards, "w", settings, is_worker=True)
    await renewer.start()

    async def live() -> list[list[bytes]]:
        return [await stores.pipeline.send("ZRANGE", keys.worker_versions, 0, -1) for keys in stores.shards.threads]

    async def all_know(*members: bytes) -> bool:
        return await live() == [list(members)] * SHARDS

    renewer.claims_in_group("group", b"\x80")
    await wait_until(lambda: all_know(b"group w"))
    assert await stores.pipeline.send("HGETALL", stores.shards.threads[7].version_groups) == [b"group", b"\x80"]
    renewer.claims_in_group(None)
    await wait_until(all_know)
    await renewer.stop()


async def test_every_shard_forgets_a_worker_that_has_died(stores: Stores) -> None:
    rounds = QueueRound(stores.queues, lambda shard: None)
    first, *others = stores.queues
    await first.renew_leases([], lease_ms=60_000, claims_as="group w")
    await stores.pipeline.send("HSET", stores.shards.threads[0].version_groups, "group", b"\x80")
    await rounds.run()
    assert [len((await each.live_groups()).workers) for each in others] == [1] * len(others)
    assert (await others[0].live_groups()).serves == {"group": b"\x80"}
    await first.renew_leases([], lease_ms=60_000, stops_as="group w")
    await rounds.run()
    assert [len((await each.live_groups()).workers) for each in others] == [0] * len(others)


@counts_commands
async def test_a_heartbeat_goes_to_the_first_shard_and_to_those_of_its_attempts(
    valkey_url: str, stores: Stores
) -> None:
    settings = settings_of(valkey_url, stores.keys)
    renewer = LeaseRenewer(Address(valkey_url), stores.shards, "w", settings, is_worker=True)
    workers = WorkerListScripts(stores.pipeline, stores.shards.processes)
    for shard in (3, 3, 6):
        await run_in(stores, shard)
    for run in await stores.claim():
        renewer.add(stores.attempt(run), claim_sent_at=0)
    before = stores.pipeline.round_trips
    async with count_commands(valkey_url, stores.pipeline) as commands:
        assert await renewer.send_heartbeat(stores.queues, workers)
    assert stores.pipeline.round_trips <= before + 3, "one write, beside the marker and scripts that Redis had not"
    assert commands["lease_renew"] >= 3
    assert await renewer.send_heartbeat(stores.queues, workers)


def test_shards_share_the_free_slots_in_turns() -> None:
    turns = ClaimTurns(4)
    assert turns.take(10) == [(0, 3), (1, 3), (2, 2), (3, 2)]
    turns.add(2)
    turns.add(1)
    turns.add(2)
    assert turns.take(1) == [(2, 1)]
    turns.add(2)
    assert turns.take(1) == [(1, 1)], "a shard that has more jobs follows the others"
    assert turns.take(0) == []
    assert turns.pending == (2,)


def test_a_wake_is_passed_on_once_and_only_if_others_wait() -> None:
    turns = ClaimTurns(3)
    assert turns.take(3)
    turns.woken(0, others_wait=True)
    turns.woken(1, others_wait=False)
    assert (turns.take_passable(), turns.take_passable()) == (frozenset({0}), frozenset())
    assert turns.pending == (0, 1)
    turns.woken(2, others_wait=True)
    assert turns.take(3)
    assert turns.take_passable() == frozenset(), "this worker has claimed"
