"""Runs with which a worker died: few begin at once, nobody is starved, and innocent ones are not charged again."""

from __future__ import annotations

import math
import random
from collections import Counter

import pytest

from slipway.clock import Clock
from slipway.health.doctor import Doctor
from slipway.runs.crash_suspects import (
    CLEARED_AT_SUPERSTEP,
    CLEARED_COUNTS_FOR_S,
    SURVIVED_AFTER_S,
    CrashSuspects,
    SuspectProgress,
)
from slipway.runs.record import Phase, Run
from slipway.runs.script_results import Settled
from tests.runs.conftest import LEASE_MS, Stores, handover


class SetClock(Clock):
    """A clock that the test advances."""

    def __init__(self) -> None:
        self.at = 0.0

    def monotonic(self) -> float:
        return self.at


async def _queued(stores: Stores, **differs: object) -> Run:
    return await stores.create_run(**differs)


async def _claim(stores: Stores, worker: str, suspects: int, limit: int = 100) -> list[Run]:
    _, held = await stores.scripts.run_claim(worker, limit, LEASE_MS, suspects=suspects)
    return [await stores.runs.find(fields["run_id"].decode()) for fields in held]


async def _prove(stores: Stores, run: Run) -> None:
    attempt = stores.attempt(run)
    proof = SuspectProgress(attempt, stores.keys, lambda proven: None)
    for _ in range(CLEARED_AT_SUPERSTEP):
        proof.superstep_started()
    await attempt.flush()


async def test_a_run_whose_worker_died_is_a_suspect_until_it_gets_further(stores: Stores) -> None:
    run = await _queued(stores)
    assert (await stores.claim_one()).crashes == 0
    await stores.reap()
    again = await stores.claim_one()
    assert again.crashes == 1
    await _prove(stores, again)
    assert (await stores.reload(run)).crashes == 0
    assert await stores.pipeline.send("EXISTS", stores.keys.running_suspects) == 0


async def test_who_may_take_no_suspect_gets_everything_else(stores: Stores) -> None:
    died = {(await _queued(stores)).run_id for _ in range(300)}
    await stores.claim(limit=300)
    await stores.reap()
    others = {(await _queued(stores)).run_id for _ in range(5)}
    assert {run.run_id for run in await _claim(stores, "x", 0)} == others
    due_in_ms, held = await stores.scripts.run_claim("x", 9, LEASE_MS, suspects=0)
    assert held == []
    assert due_in_ms is not None
    assert due_in_ms > 0  # it asks again soon
    assert {run.run_id for run in await _claim(stores, "y", 2)} < died


async def test_suspects_and_others_go_by_rank(stores: Stores) -> None:
    first = await _queued(stores)
    await stores.claim_one()
    await stores.reap()
    normal, high = await _queued(stores), await _queued(stores, priority="high")
    order = [(await _claim(stores, "w", 1, limit=1))[0].run_id for _ in range(3)]
    assert order == [high.run_id, first.run_id, normal.run_id]


async def test_a_suspect_that_died_twice_comes_alone(stores: Stores) -> None:
    twice = await _queued(stores)
    for _ in range(2):
        await stores.claim_one()
        await stores.reap()
    once = await _queued(stores)
    await stores.claim(worker="v", limit=1)  # the suspect ranks first
    assert [run.run_id for run in await stores.claim(worker="u")] == [once.run_id]
    await stores.reap("u")
    await stores.reap("v")
    claims = [await _claim(stores, name, 5) for name in ("x", "y")]
    assert sorted([(run.run_id, run.crashes) for run in claimed] for claimed in claims) == sorted(
        [[(once.run_id, 1)], [(twice.run_id, 3)]]
    )


async def test_a_suspect_that_died_twice_takes_no_other_along_when_it_is_the_first(stores: Stores) -> None:
    twice = await _queued(stores, priority="high")
    for _ in range(2):
        assert (await stores.claim_one()).run_id == twice.run_id
        await stores.reap()
    assert (await _queued(stores)).run_id == (await _claim(stores, "v", 0))[0].run_id
    assert [outcome for _, _, outcome in await stores.reap("v")] == ["queued"]
    first, second = [await _claim(stores, name, 5) for name in ("x", "y")]
    assert [(run.run_id, run.crashes) for run in first] == [(twice.run_id, 2)]
    assert [run.crashes for run in second] == [1]


async def test_only_the_likeliest_cause_is_charged(stores: Stores) -> None:
    cause = await _queued(stores)
    await stores.claim_one()
    await stores.reap()
    beside = [await _queued(stores) for _ in range(3)]
    assert len(await stores.claim()) == 4
    await stores.reap()
    assert (await stores.reload(cause)).uncounted_attempts == 0
    for run in beside:
        record = await stores.reload(run)
        assert (record.attempt, record.uncounted_attempts, record.crashes) == (1, 1, 1)


async def test_a_worker_that_only_hung_takes_the_suspicion_away(stores: Stores) -> None:
    run = await _queued(stores)
    held = await stores.claim_one()
    await stores.reap()
    words = await stores.scripts.renew_leases([(run.run_id, held.attempt, run.incarnation)], lease_ms=LEASE_MS)
    assert words == [(run.run_id, "lost")]
    assert (await stores.reload(run)).crashes == 0
    [again] = await _claim(stores, "x", 1)
    assert again.run_id == run.run_id
    assert await stores.attempt(again).release(handover(again))
    assert [last.run_id for last in await _claim(stores, "x", 0)] == [run.run_id]  # it waits among all others


async def test_each_attempt_after_the_second_waits_longer(stores: Stores) -> None:
    run = await _queued(stores, ceilings={"max_attempts": 9})
    pauses_s: list[int] = []
    for attempt in range(1, 5):
        await stores.pipeline.send(
            "ZADD", stores.keys.later_queue, "XX", 0, f"{run.run_id}:{attempt}"
        )  # its pause is over
        assert (await stores.claim_one()).attempt == attempt
        assert await stores.reap(pause_ms=60_000) == [(run.run_id, attempt, "queued")]
        seconds, _ = await stores.pipeline.send("TIME")
        due_ms = int(await stores.pipeline.send("HGET", stores.keys.run(run.run_id), "due_ms"))
        pauses_s.append(due_ms // 1000 - int(seconds))
    assert [round(pause / 60) for pause in pauses_s] == [0, 1, 2, 3]
    assert await stores.claim() == []


async def test_a_suspect_that_is_handed_back_stays_one(stores: Stores) -> None:
    await _queued(stores)
    await stores.claim_one()
    await stores.reap()
    held = await stores.claim_one()
    assert await stores.attempt(held).release(handover(held))
    assert await stores.pipeline.send("EXISTS", stores.keys.running_suspects) == 0
    assert await _claim(stores, "x", 0) == []
    assert (await stores.claim_one()).crashes == 1


def _suspect(number: int, deaths: int = 1) -> Run:
    run = object.__new__(Run)
    for name, value in {"run_id": str(number), "attempt": 2, "crashes": deaths}.items():
        object.__setattr__(run, name, value)
    return run


def test_suspects_begin_few_at_a_time_and_doubling() -> None:
    clock = SetClock()
    suspects = CrashSuspects(clock)
    begun: list[float] = []
    while len(begun) < 32:
        for _ in range(suspects.free_slots()):
            begun.append(clock.at / SURVIVED_AFTER_S)
            suspects.add(_suspect(len(begun)))
        assert suspects.free_slots() == 0
        clock.at += SURVIVED_AFTER_S
    assert sorted(Counter(begun).items()) == [(0, 1), (1, 2), (2, 4), (3, 8), (4, 16), (5, 32)]


def test_suspects_that_were_quickly_cleared_speak_for_those_behind_them() -> None:
    clock = SetClock()
    suspects = CrashSuspects(clock)
    begun: list[int] = []
    while sum(begun) < 15:
        begun.append(suspects.free_slots())
        runs = [_suspect(sum(begun) + number) for number in range(begun[-1])]
        for run in runs:
            suspects.add(run)
        assert suspects.free_slots() == 0
        clock.at += SURVIVED_AFTER_S / 10
        for run in runs:
            suspects.remove(run)
    assert begun == [1, 2, 4, 8]
    clock.at += CLEARED_COUNTS_FOR_S
    assert suspects.free_slots() == 1, "not for ever"


def test_it_is_known_when_there_will_be_room() -> None:
    clock = SetClock()
    suspects = CrashSuspects(clock)
    assert suspects.next_slot_in_s() == math.inf
    suspects.add(_suspect(1))
    clock.at += SURVIVED_AFTER_S / 4
    assert suspects.free_slots() == 0
    assert suspects.next_slot_in_s() == SURVIVED_AFTER_S * 3 / 4
    clock.at += suspects.next_slot_in_s()
    assert suspects.free_slots() == 2


def test_a_suspect_with_several_deaths_keeps_others_away_for_as_long_as_it_takes() -> None:
    clock = SetClock()
    suspects, run = CrashSuspects(clock), _suspect(1, deaths=2)
    suspects.add(run)
    clock.at += 1000
    assert suspects.free_slots() == 0
    suspects.remove(run)
    assert suspects.free_slots() == 1


class Fleet:
    """Processes as a supervisor keeps them: what a poison run does to them, in turns of a second."""

    def __init__(self, stores: Stores, processes: int, poisons: set[str], chance: random.Random) -> None:
        self.stores, self.poisons, self.chance = stores, poisons, chance
        self.clock = SetClock()
        self.held: dict[str, dict[str, tuple[Run, int]]] = {}
        self.suspects: dict[str, CrashSuspects] = {}
        self.started = 0
        for _ in range(processes):
            self.start()

    def start(self) -> None:
        self.started += 1
        name = f"w{self.started}:"
        self.held[name], self.suspects[name] = {}, CrashSuspects(self.clock)

    async def turn(self, lasts: int) -> None:
        """Every process claims, dies if it holds a poison run, and else gets on with what it has."""
        for name in self.chance.sample(sorted(self.held), len(self.held)):
            claimed = await _claim(self.stores, name, self.suspects[name].free_slots())
            for run in claimed:
                self.suspects[name].add(run)
                self.held[name][run.run_id] = run, 0
            if any(run.run_id in self.poisons for run in claimed):
                await self.stores.reap(name)
                del self.held[name], self.suspects[name]
                self.start()
            else:
                await self._get_on(name, lasts)
        self.clock.at += SURVIVED_AFTER_S

    async def _get_on(self, name: str, lasts: int) -> None:
        for run, supersteps in list(self.held[name].values()):
            if supersteps == CLEARED_AT_SUPERSTEP:
                await _prove(self.stores, run)
                self.suspects[name].remove(run)
            if supersteps >= lasts:
                assert await self.stores.settle(await self.stores.reload(run)) == Settled()
                self.suspects[name].remove(run)
                del self.held[name][run.run_id]
            else:
                self.held[name][run.run_id] = run, supersteps + 1


@pytest.mark.parametrize("processes", [1, 2, 4])
@pytest.mark.parametrize("poisons", [1, 3])
@pytest.mark.parametrize("seed", range(3))
async def test_innocent_runs_are_charged_once_for_each_poison(
    processes: int, poisons: int, seed: int, stores: Stores
) -> None:
    chance = random.Random(seed)
    runs = [await _queued(stores) for _ in range(10 + poisons)]
    bad = {run.run_id for run in chance.sample(runs, poisons)}
    fleet = Fleet(stores, processes, bad, chance)
    for _ in range(200):
        if all([(await stores.reload(run)).final for run in runs]):
            break
        await fleet.turn(lasts=chance.randint(4, 8))
    for run in runs:
        record = await stores.reload(run)
        if run.run_id in bad:
            assert (record.phase, (record.error or {})["code"]) == (Phase.FAILED, "ceiling.attempts")
        else:
            assert record.phase is Phase.COMPLETED
            assert record.attempt - record.uncounted_attempts <= 1 + poisons
    assert await Doctor(stores.pipeline, stores.keys, lease_ms=LEASE_MS, repair=False).check_all() == []


@pytest.mark.parametrize("seed", range(8))
async def test_claims_at_random(seed: int, stores: Stores) -> None:
    """Whatever is claimed, lost, handed back and proven: limits hold, no run is lost, nothing is left over."""
    chance = random.Random(seed)
    threads = [await stores.create_thread() for _ in range(8)]
    limits = {"few": 2, "one": 1}
    held: dict[str, list[Run]] = {name: [] for name in ("a", "b", "c")}
    made: list[Run] = []

    async def create() -> None:
        groups = [(name, limit) for name, limit in limits.items() if chance.random() < 0.3]
        priority = chance.choice(["low", "normal", "high"])
        made.append(
            await stores.create_run(
                chance.choice(threads), groups=groups, priority=priority, ceilings={"max_attempts": 50}
            )
        )

    async def claim() -> None:
        name, most, limit = chance.choice(sorted(held)), chance.randint(0, 3), chance.randint(1, 4)
        claimed = await _claim(stores, name, most, limit)
        suspects = [run.crashes for run in claimed if run.crashes]
        assert len(claimed) <= limit
        assert len(suspects) <= most
        assert len(suspects) < 2 or max(suspects) == 1
        held[name] += claimed
        running = [run for runs in held.values() for run in runs]
        assert len({run.thread_id for run in running}) == len(running)
        for group, limit in limits.items():
            assert await stores.pipeline.send("SCARD", stores.keys.group_runs(group)) <= limit
        for run in claimed:
            earlier = [other.run_id for other in made if other.thread_id == run.thread_id]
            for other in earlier[: earlier.index(run.run_id)]:
                assert (await stores.runs.find(other)).final

    async def die() -> None:
        name = chance.choice(sorted(held))
        taken = await stores.reap(name)
        assert sorted(run_id for run_id, _, _ in taken) == sorted(run.run_id for run in held[name])
        held[name] = []

    async def end(chosen: str) -> None:
        name = chance.choice(sorted(held))
        if not held[name]:
            return
        run = held[name].pop(chance.randrange(len(held[name])))
        if chosen == "settle":
            assert await stores.settle(run) == Settled()
        else:
            assert await stores.attempt(run).release(handover(run))

    for _ in range(120):
        move = chance.choices(["create", "claim", "die", "settle", "release"], [3, 5, 1, 2, 1])[0]
        await {"create": create, "claim": claim, "die": die}.get(move, lambda move=move: end(move))()
    for name in held:
        await stores.reap(name)
    for _ in range(10 * len(made) + 10):  # everything that is left comes, one by one
        for run in await _claim(stores, "last", 1, 1):
            assert await stores.settle(run) == Settled()
    assert all([(await stores.reload(run)).final for run in made])
    assert await Doctor(stores.pipeline, stores.keys, lease_ms=LEASE_MS, repair=False).check_all() == []
    keys = stores.keys
    assert await stores.pipeline.send("EXISTS", keys.queue, keys.suspect_queue, keys.running_suspects, keys.leases) == 0
