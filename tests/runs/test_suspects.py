"""Crash suspects: few start at once, no run waits for ever, and harmless runs lose few attempts."""

from __future__ import annotations

import math
import random
from collections import Counter
from typing import Final

import pytest

from slipway.clock import Clock
from slipway.health.doctor import Doctor
from slipway.runs.crash_suspects import (
    CLEARED_AT_SUPERSTEP,
    CLEARED_COUNTS_FOR_S,
    SURVIVED_AFTER_S,
    SURVIVES_LONGER_BY,
    CrashSuspects,
    SuspectProgress,
)
from slipway.runs.record import Phase, Run
from slipway.runs.script_results import RunLost, Settled
from slipway.runs.suspect_slots import ALONE_FROM_CRASHES, ANY_CRASH, NO_SUSPECTS, SuspectSlots
from tests.runs.conftest import LEASE_MS, Stores, handover
from tests.shards import shards_of

pytestmark = pytest.mark.one_queue


class ManualClock(Clock):
    """A clock that the test advances."""

    def __init__(self) -> None:
        self.time_s = 0.0

    def monotonic(self) -> float:
        return self.time_s


async def _claim(stores: Stores, worker: str, suspects: int | SuspectSlots = ANY_CRASH, limit: int = 100) -> list[Run]:
    """Claims at most that many suspects of each crash."""
    slots = suspects if isinstance(suspects, SuspectSlots) else SuspectSlots(others=suspects)
    _, claimed, *_ = await stores.queues[0].run_claim(worker, limit, LEASE_MS, slots)
    return [await stores.runs.find(fields["run_id"].decode()) for fields in claimed]


async def _clear(stores: Stores, run: Run) -> None:
    attempt = stores.attempt(run)
    progress = SuspectProgress(attempt, stores.shards.of_run(run.run_id), lambda cleared: None)
    for _ in range(CLEARED_AT_SUPERSTEP):
        progress.superstep_started()
    await attempt.flush()


async def test_a_reclaimed_run_is_a_suspect_until_it_is_cleared(stores: Stores) -> None:
    run = await stores.create_run()
    assert (await stores.claim_one()).crashes == 0
    await stores.reap()
    again = await stores.claim_one()
    assert again.crashes == 1
    await _clear(stores, again)
    assert (await stores.reload(run)).crashes == 0
    assert await stores.pipeline.send("EXISTS", stores.shards.home.running_suspects) == 0


async def test_a_claim_without_suspects_gets_all_other_runs(stores: Stores) -> None:
    suspects = {(await stores.create_run()).run_id for _ in range(300)}
    await stores.claim(limit=300)
    await stores.reap()
    others = {(await stores.create_run()).run_id for _ in range(5)}
    assert {run.run_id for run in await _claim(stores, "x", 0)} == others
    due_in_ms, claimed, *_ = await stores.queues[0].run_claim("x", 9, LEASE_MS, NO_SUSPECTS)
    assert claimed == []
    assert due_in_ms is not None
    assert due_in_ms > 0  # the worker claims again soon
    assert {run.run_id for run in await _claim(stores, "y", 2)} < suspects


async def test_suspects_and_other_runs_are_claimed_by_priority_and_due_time(stores: Stores) -> None:
    first = await stores.create_run()
    await stores.claim_one()
    await stores.reap()
    normal, high = await stores.create_run(), await stores.create_run(priority="high")
    order = [(await _claim(stores, "w", 1, limit=1))[0].run_id for _ in range(3)]
    assert order == [high.run_id, first.run_id, normal.run_id]


async def _crash_together(stores: Stores, worker: str, count: int) -> list[Run]:
    """Runs of one worker that died."""
    runs = [await stores.create_run() for _ in range(count)]
    assert len(await _claim(stores, worker, 0)) == count
    await stores.reap(worker)
    return runs


async def test_a_suspect_of_two_crashes_is_claimed_without_others_of_its_last_crash(stores: Stores) -> None:
    twice = await stores.create_run(priority="high")
    await stores.claim(worker="u")
    await stores.reap("u")
    once = [await stores.create_run() for _ in range(2)]
    assert len(await stores.claim(worker="v")) == 3
    await stores.reap("v")
    claims = [await _claim(stores, name, 5) for name in ("x", "y")]
    assert [[(run.run_id, run.crashes) for run in claimed] for claimed in claims] == [
        [(twice.run_id, 2)],
        [(run.run_id, 1) for run in once],
    ]


async def test_a_suspect_of_two_crashes_is_not_claimed_with_others_of_its_last_crash(stores: Stores) -> None:
    twice = await stores.create_run()
    await stores.claim(worker="u")
    await stores.reap("u")
    first = await stores.create_run(priority="high")
    assert len(await stores.claim(worker="v")) == 2
    await stores.reap("v")
    claims = [await _claim(stores, name, 5) for name in ("x", "y")]
    assert [[run.run_id for run in claimed] for claimed in claims] == [[first.run_id], [twice.run_id]]


async def test_a_suspect_of_three_crashes_is_claimed_as_the_only_suspect_and_not_overtaken(stores: Stores) -> None:
    thrice = await stores.create_run()
    for worker in ("r", "s", "t"):
        await stores.pipeline.send("ZADD", stores.shards.home.later_queue, "XX", 0, f"{thrice.run_id}:2")
        await stores.claim(worker=worker)
        await stores.reap(worker)
    [once] = await _crash_together(stores, "u", 1)
    other = await stores.create_run()
    assert [run.run_id for run in await _claim(stores, "v", SuspectSlots(alone=False))] == [other.run_id]
    assert [run.run_id for run in await _claim(stores, "w")] == [thrice.run_id]
    assert [run.run_id for run in await _claim(stores, "x", SuspectSlots(alone=False))] == [once.run_id]


async def test_suspects_of_different_crashes_do_not_wait_for_each_other(stores: Stores) -> None:
    groups = [await _crash_together(stores, worker, 3) for worker in ("u", "v", "w")]
    claimed = await _claim(stores, "x", 1)
    assert {run.run_id for run in claimed} == {runs[0].run_id for runs in groups}
    assert {run.crashed_worker for run in claimed} == {"u", "v", "w"}
    claimed = await _claim(stores, "x", SuspectSlots({"u": 0, "v": 2, "w": 0}))
    assert [run.run_id for run in claimed] == [run.run_id for run in groups[1][1:]]


async def test_a_crash_counts_as_an_attempt_of_the_most_suspected_run_only(stores: Stores) -> None:
    cause = await stores.create_run()
    await stores.claim_one()
    await stores.reap()
    others = [await stores.create_run() for _ in range(3)]
    assert len(await stores.claim()) == 4
    await stores.reap()
    assert (await stores.reload(cause)).uncounted_attempts == 0
    for run in others:
        record = await stores.reload(run)
        assert (record.attempt, record.uncounted_attempts, record.crashes) == (1, 1, 1)


@pytest.mark.parametrize(
    ("earlier_crashes", "counts"),
    [
        ([0, 0, 0], [True, True, True]),
        ([1, 0, 0], [True, False, False]),
        ([2, 0, 0], [True, False, False]),
        ([1, 1, 0], [False, False, False]),
        ([2, 1, 0], [False, False, False]),
        ([3, 1, 0], [True, False, False]),
        ([1, 3, 2], [False, True, False]),
        ([3, 3, 1], [False, False, False]),
    ],
)
async def test_the_earlier_crashes_of_the_runs_of_a_dead_worker_decide_which_attempts_count(
    stores: Stores, earlier_crashes: list[int], counts: list[bool]
) -> None:
    """The table of docs/state-machine.md. A run of another worker makes no difference."""
    runs = [await stores.create_run() for _ in earlier_crashes]
    await stores.claim()
    other = await stores.create_run()
    await stores.claim(worker="other")
    for run, crashes in zip([*runs, other], [*earlier_crashes, 9], strict=True):
        if crashes:
            await stores.pipeline.send("HSET", stores.keys.run(run.run_id), "crashes", crashes)
            await stores.pipeline.send("SADD", stores.shards.home.running_suspects, run.run_id)
    await stores.reap()
    assert [(await stores.reload(run)).uncounted_attempts == 0 for run in runs] == counts
    assert [(await stores.reload(run)).crashes for run in runs] == [crashes + 1 for crashes in earlier_crashes]


async def test_a_heartbeat_of_a_reclaimed_worker_clears_its_suspects(stores: Stores) -> None:
    run = await stores.create_run()
    claimed = await stores.claim_one()
    await stores.reap()
    instructions = await stores.queues[0].renew_leases(
        [(run.run_id, claimed.attempt, run.incarnation)], lease_ms=LEASE_MS
    )
    assert instructions == [(run.run_id, RunLost())]
    assert (await stores.reload(run)).crashes == 0
    [claimed] = await _claim(stores, "x", 1)
    assert claimed.run_id == run.run_id
    assert await stores.attempt(claimed).release(handover(claimed))
    assert [each.run_id for each in await _claim(stores, "x", 0)] == [
        run.run_id
    ]  # it is in the queue of all other runs


async def test_each_attempt_after_the_second_waits_longer(stores: Stores) -> None:
    run = await stores.create_run(ceilings={"max_attempts": 9})
    pauses_s: list[int] = []
    for attempt in range(1, 5):
        await stores.pipeline.send(
            "ZADD", stores.shards.home.later_queue, "XX", 0, f"{run.run_id}:{attempt}"
        )  # ends its pause
        assert (await stores.claim_one()).attempt == attempt
        assert await stores.reap(pause_ms=60_000) == [(run.run_id, attempt, "queued")]
        seconds, _ = await stores.pipeline.send("TIME")
        due_ms = int(await stores.pipeline.send("HGET", stores.keys.run(run.run_id), "due_ms"))
        pauses_s.append(due_ms // 1000 - int(seconds))
    assert [round(pause / 60) for pause in pauses_s] == [0, 1, 2, 3]
    assert await stores.claim() == []


async def test_a_run_that_progresses_between_crashes_continues_without_a_pause(stores: Stores) -> None:
    """Long runs lose many workers on machines that are often replaced."""
    await stores.create_run(ceilings={"max_attempts": 9})
    for attempt in range(1, 5):
        run = await stores.claim_one()
        assert run.attempt == attempt
        await _clear(stores, run)
        await stores.reap(pause_ms=60_000)


async def test_a_released_suspect_remains_a_suspect(stores: Stores) -> None:
    await stores.create_run()
    await stores.claim_one()
    await stores.reap()
    claimed = await stores.claim_one()
    assert await stores.attempt(claimed).release(handover(claimed))
    assert await stores.pipeline.send("EXISTS", stores.shards.home.running_suspects) == 0
    assert await _claim(stores, "x", 0) == []
    assert (await stores.claim_one()).crashes == 1


def _suspect(number: int, crashes: int = 1, crash: str = "crash") -> Run:
    run = object.__new__(Run)
    fields = {"run_id": str(number), "attempt": 2, "crashes": crashes, "crashed_worker": crash, "cancel": None}
    for name, value in fields.items():
        object.__setattr__(run, name, value)
    return run


def _free(suspects: CrashSuspects, crash: str = "crash") -> int:
    slots = suspects.free_slots()
    return slots.by_crash.get(crash, slots.others)


def test_the_number_of_suspects_that_start_at_once_doubles() -> None:
    clock = ManualClock()
    suspects = CrashSuspects(clock)
    started: list[float] = []
    while len(started) < 32:
        for _ in range(_free(suspects)):
            started.append(clock.time_s / SURVIVED_AFTER_S)
            suspects.add(_suspect(len(started)))
        assert _free(suspects) == 0
        assert _free(suspects, "another crash") == 1
        clock.time_s += SURVIVED_AFTER_S
    assert sorted(Counter(started).items()) == [(0, 1), (1, 2), (2, 4), (3, 8), (4, 16), (5, 32)]


def test_cleared_suspects_let_more_suspects_of_their_crash_start() -> None:
    clock = ManualClock()
    suspects = CrashSuspects(clock)
    started: list[int] = []
    while sum(started) < 15:
        started.append(_free(suspects))
        runs = [_suspect(sum(started) + number) for number in range(started[-1])]
        for run in runs:
            suspects.add(run)
        assert _free(suspects) == 0
        clock.time_s += SURVIVED_AFTER_S / 10
        for run in runs:
            suspects.remove(run)
        assert _free(suspects, "another crash") == 1
    assert started == [1, 2, 4, 8]
    clock.time_s += CLEARED_COUNTS_FOR_S
    assert suspects.free_slots() == SuspectSlots({}), "cleared suspects count for a limited time"


def test_next_slot_in_s_is_the_time_until_a_suspect_may_start() -> None:
    clock = ManualClock()
    suspects = CrashSuspects(clock)
    assert suspects.next_slot_in_s() == math.inf
    suspects.add(_suspect(1))
    clock.time_s += SURVIVED_AFTER_S / 4
    assert _free(suspects) == 0
    assert suspects.next_slot_in_s() == SURVIVED_AFTER_S * 3 / 4
    clock.time_s += suspects.next_slot_in_s()
    assert _free(suspects) == 2


def test_a_suspect_of_two_crashes_executes_without_others_of_its_last_crash_until_it_has_survived() -> None:
    clock = ManualClock()
    suspects, run = CrashSuspects(clock), _suspect(1, crashes=2)
    suspects.add(_suspect(2, crash="another crash"))
    suspects.add(run)
    clock.time_s += SURVIVED_AFTER_S * (SURVIVES_LONGER_BY - 0.5)
    assert (_free(suspects), _free(suspects, "another crash")) == (0, 2)
    assert not suspects.free_slots().alone
    assert suspects.next_slot_in_s() == SURVIVED_AFTER_S / 2
    clock.time_s += SURVIVED_AFTER_S / 2
    assert _free(suspects) == 1
    assert suspects.free_slots().alone
    suspects.remove(run)
    assert _free(suspects) == 1


@pytest.mark.parametrize("crashes", [ALONE_FROM_CRASHES, ALONE_FROM_CRASHES + 1])
def test_a_suspect_of_more_crashes_executes_without_other_suspects_until_it_has_survived(crashes: int) -> None:
    clock = ManualClock()
    suspects, survives_after_s = CrashSuspects(clock), SURVIVED_AFTER_S * SURVIVES_LONGER_BY ** (crashes - 1)
    suspects.add(_suspect(1, crashes))
    clock.time_s += survives_after_s - SURVIVED_AFTER_S
    assert suspects.free_slots() == NO_SUSPECTS
    assert suspects.next_slot_in_s() == SURVIVED_AFTER_S
    clock.time_s += SURVIVED_AFTER_S
    assert suspects.free_slots() == SuspectSlots({"crash": 1})


MOST_CRASHES_OF_ONE_RUN: Final = 7
"""The attempts that count, and the crashes in which it is not known yet which run is the cause."""


class Fleet:
    """Simulates worker processes under a supervisor. A process that claims a fatal run crashes and is replaced."""

    def __init__(self, stores: Stores, processes: int, fatal_runs: set[str], rng: random.Random) -> None:
        self.stores, self.fatal_runs, self.rng = stores, fatal_runs, rng
        self.clock = ManualClock()
        self.progress: dict[str, dict[str, tuple[Run, int]]] = {}
        """Process to its runs, by run id, each with its number of supersteps."""
        self.suspects: dict[str, CrashSuspects] = {}
        self.started = 0
        for _ in range(processes):
            self.start_process()

    def start_process(self) -> None:
        self.started += 1
        name = f"w{self.started}:"
        self.progress[name], self.suspects[name] = {}, CrashSuspects(self.clock)

    async def step(self, supersteps: int) -> None:
        """Every process claims runs. It crashes if one of them is fatal, and otherwise executes a superstep of each run
        and settles those that have `supersteps` of them."""
        for name in self.rng.sample(sorted(self.progress), len(self.progress)):
            claimed = await _claim(self.stores, name, self.suspects[name].free_slots())
            for run in claimed:
                self.suspects[name].add(run)
                self.progress[name][run.run_id] = run, 0
            if any(run.run_id in self.fatal_runs for run in claimed):
                await self.stores.reap(name)
                del self.progress[name], self.suspects[name]
                self.start_process()
            else:
                await self._execute_superstep(name, supersteps)
        self.clock.time_s += SURVIVED_AFTER_S

    async def _execute_superstep(self, name: str, supersteps: int) -> None:
        for run, done in list(self.progress[name].values()):
            if done == CLEARED_AT_SUPERSTEP:
                await _clear(self.stores, run)
                self.suspects[name].remove(run)
            if done >= supersteps:
                assert await self.stores.settle(await self.stores.reload(run)) == Settled()
                self.suspects[name].remove(run)
                del self.progress[name][run.run_id]
            else:
                self.progress[name][run.run_id] = run, done + 1


@pytest.mark.parametrize("processes", [1, 2, 4])
@pytest.mark.parametrize("fatal", [1, 3])
@pytest.mark.parametrize("seed", range(3))
async def test_a_harmless_run_loses_at_most_one_attempt_for_each_fatal_run(
    processes: int, fatal: int, seed: int, stores: Stores
) -> None:
    rng = random.Random(seed)
    runs = [await stores.create_run() for _ in range(10 + fatal)]
    fatal_runs = {run.run_id for run in rng.sample(runs, fatal)}
    fleet = Fleet(stores, processes, fatal_runs, rng)
    for _ in range(200):
        if all([(await stores.reload(run)).final for run in runs]):
            break
        await fleet.step(rng.randint(4, 8))
    for run in runs:
        record = await stores.reload(run)
        if run.run_id in fatal_runs:
            assert (record.phase, (record.error or {})["code"]) == (Phase.FAILED, "ceiling.attempts")
        else:
            assert record.phase is Phase.COMPLETED
            assert record.attempt - record.uncounted_attempts <= 1 + fatal
    assert fleet.started - processes <= fatal * MOST_CRASHES_OF_ONE_RUN
    assert await Doctor(stores.pipeline, stores.shards, lease_ms=LEASE_MS, repair=False).check_all() == []


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.one_shard("its claims exchange no slots of concurrency groups with other shards")
async def test_random_claims_crashes_and_releases_keep_all_limits_and_lose_no_run(seed: int, stores: Stores) -> None:
    rng = random.Random(seed)
    threads = [await stores.create_thread() for _ in range(8)]
    group_limits = {"few": 2, "one": 1}
    by_worker: dict[str, list[Run]] = {name: [] for name in ("a", "b", "c")}
    created: list[Run] = []

    async def create() -> None:
        groups = [(name, limit) for name, limit in group_limits.items() if rng.random() < 0.3]
        priority = rng.choice(["low", "normal", "high"])
        created.append(
            await stores.create_run(
                rng.choice(threads), groups=groups, priority=priority, ceilings={"max_attempts": 50}
            )
        )

    async def claim() -> None:
        worker, max_suspects, limit = rng.choice(sorted(by_worker)), rng.randint(0, 3), rng.randint(1, 4)
        claimed = await _claim(stores, worker, max_suspects, limit)
        assert len(claimed) <= limit
        for crash in {run.crashed_worker for run in claimed if run.crashes}:
            crashes = [run.crashes for run in claimed if run.crashes and run.crashed_worker == crash]
            assert len(crashes) <= max_suspects
            assert len(crashes) < 2 or max(crashes) == 1
        by_worker[worker] += claimed
        running = [run for runs in by_worker.values() for run in runs]
        assert len({run.thread_id for run in running}) == len(running)
        for group, group_limit in group_limits.items():
            assert await stores.pipeline.send("SCARD", stores.shards.home.group_runs(group)) <= group_limit
        for run in claimed:
            of_thread = [other.run_id for other in created if other.thread_id == run.thread_id]
            for earlier in of_thread[: of_thread.index(run.run_id)]:
                assert (await stores.runs.find(earlier)).final

    async def crash() -> None:
        worker = rng.choice(sorted(by_worker))
        reclaimed = await stores.reap(worker)
        assert sorted(run_id for run_id, _, _ in reclaimed) == sorted(run.run_id for run in by_worker[worker])
        by_worker[worker] = []

    async def end(action: str) -> None:
        worker = rng.choice(sorted(by_worker))
        if not by_worker[worker]:
            return
        run = by_worker[worker].pop(rng.randrange(len(by_worker[worker])))
        if action == "settle":
            assert await stores.settle(run) == Settled()
        else:
            assert await stores.attempt(run).release(handover(run))

    for _ in range(120):
        action = rng.choices(["create", "claim", "crash", "settle", "release"], [3, 5, 1, 2, 1])[0]
        await {"create": create, "claim": claim, "crash": crash}.get(action, lambda action=action: end(action))()
    for worker in by_worker:
        await stores.reap(worker)
    for _ in range(10 * len(created) + 10):  # all remaining runs can be claimed one by one
        for run in await _claim(stores, "last", 1, 1):
            assert await stores.settle(run) == Settled()
    assert all([(await stores.reload(run)).final for run in created])
    assert await Doctor(stores.pipeline, stores.shards, lease_ms=LEASE_MS, repair=False).check_all() == []
    keys = stores.keys
    assert (
        await stores.pipeline.send(
            "EXISTS",
            shards_of(keys).home.queue,
            shards_of(keys).home.suspect_queue,
            shards_of(keys).home.running_suspects,
            shards_of(keys).home.leases,
        )
        == 0
    )
