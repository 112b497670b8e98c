"""A randomized soak: `python -m tests.crash.soak [--runs 500] [--seconds 60] [--seed N]`.

Two web and three worker processes work on mixed runs while something is killed every second. Then every run must be
over or wait for a person, every event log whole, every superstep done once but for what a death interrupted, and no
key left over. Prints a closing table; the exit code is 1 when something is not as it must be.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import signal
import sys
import time
import uuid
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any, get_args

import structlog

from slipway.checkpoints.requirements import CheckpointerName
from tests.conftest import wait_until
from tests.crash.checks import Entry, log_is_whole, log_tells_all, reader_has_all, undone
from tests.crash.clients import Client, Reader
from tests.crash.cluster import Cluster, Process, running
from tests.crash.effects import Effect, repetition
from tests.crash.leftovers import left_over

SETTLE_WITHIN_S = 120.0
READ_WITHIN_S = 60.0
READERS = 20
"""Of how many runs the events are read by a client as they come; those of the others when all is still."""

AT_ONCE = 10
"""How many runs are looked at at once."""


@dataclass(slots=True)
class Made:
    """A run that was accepted."""

    graph: str
    thread_id: str
    run_id: str
    given: dict[str, Any]


@dataclass(slots=True)
class Report:
    """What the soak found. `problems` is empty when all is well."""

    seed: int
    runs: int = 0
    seconds: float = 0
    hurts: Counter[str] = field(default_factory=Counter)
    phases: Counter[str] = field(default_factory=Counter)
    attempts: int = 0
    broken_off: int = 0
    supersteps: int = 0
    supersteps_again: int = 0
    most_again: int = 0
    events: int = 0
    read: int = 0
    followed: int = 0
    repairs: str = "none"
    reconnections: int = 0
    problems: list[str] = field(default_factory=list)

    def table(self) -> str:
        """For people."""
        hurts = ", ".join(f"{count} x {name}" for name, count in sorted(self.hurts.items()))
        phases = ", ".join(f"{count} {name}" for name, count in sorted(self.phases.items()))
        rows = [
            ("seed", self.seed),
            ("seconds", f"{self.seconds:.0f}"),
            ("hurt", hurts),
            ("runs accepted", self.runs),
            ("runs by phase", phases),
            ("runs lost", self.runs - sum(self.phases.values())),
            ("attempts, of which broke off", f"{self.attempts}, {self.broken_off}"),
            ("supersteps, of which done again", f"{self.supersteps}, {self.supersteps_again}"),
            ("most done again after one death", self.most_again),
            ("events in the logs", self.events),
            ("logs that clients read, live, reconnections", f"{self.read}, {self.followed}, {self.reconnections}"),
            ("repairs by the doctor", self.repairs),
            ("problems", len(self.problems)),
        ]
        width = max(len(name) for name, _ in rows)
        return "\n".join([*(f"{name:<{width}}  {value}" for name, value in rows), *self.problems[:20]])


class Soak:
    """One soak on one cluster."""

    def __init__(self, cluster: Cluster, runs: int, seconds: float, seed: int) -> None:
        self.cluster, self.runs, self.seconds = cluster, runs, seconds
        self.chance = random.Random(seed)
        self.report = Report(seed)
        self.made: list[Made] = []
        self.readers: list[Reader] = []
        self.effects: dict[str, list[Effect]] = {}
        self.client = Client(*(web.url for web in cluster.webs))

    async def run(self) -> Report:
        """Make, hurt, wait until all is still, and look."""
        began = time.monotonic()
        hurting = asyncio.create_task(self._hurt(), name="hurt")
        following = await self._make()
        await hurting
        await self._heal()
        try:
            await wait_until(self._still, SETTLE_WITHIN_S)
            async with asyncio.timeout(30):
                await asyncio.gather(*following)
        except (AssertionError, TimeoutError) as error:
            self.report.problems.append(f"not still in time: {error}")
        for task in following:
            task.cancel()
        self.report.seconds = time.monotonic() - began
        await self._look()
        await self.client.close()
        return self.report

    # make

    async def _make(self) -> list[asyncio.Task[None]]:
        following: list[asyncio.Task[None]] = []
        pause_s = self.seconds * 0.8 / self.runs
        for number in range(self.runs):
            made = await self._one()
            self.made.append(made)
            if number % max(self.runs // READERS, 1) == 0:
                reader = Reader(made.run_id)
                self.readers.append(reader)
                following.append(asyncio.create_task(reader.follow(self.client.urls, made.thread_id)))
            await asyncio.sleep(pause_s)
        return following

    async def _one(self) -> Made:
        thread_id = str(uuid.uuid4())
        graph, given = self._kind()
        # a request that broke off may have been accepted: it is asked again under the same key, so it is one run
        run_id = await self.client.start(graph, given, thread_id, key=thread_id)
        return Made(graph, thread_id, run_id, given)

    def _kind(self) -> tuple[str, dict[str, Any]]:
        chance = self.chance
        kinds: list[tuple[str, dict[str, Any]]] = [
            ("steps", {"upto": chance.randint(1, 30), "pause_s": 0.02}),
            ("steps", {"upto": chance.randint(1, 30), "pause_s": 0.02}),
            ("steps", {"upto": 3, "pause_s": chance.uniform(0.3, 1.0)}),
            ("steps", {"upto": 2, "pause_s": 0.1, "how": "block"}),
            ("steps", {"upto": 2, "pause_s": 0.05, "how": "burn"}),
            ("fan", {"parts": [chance.uniform(0, 0.4) for _ in range(chance.randint(2, 8))]}),
            ("asks", {"upto": 1}),
            ("fails", {"upto": 1}),
        ]
        return chance.choice(kinds)

    # hurt

    async def _hurt(self) -> None:
        until = time.monotonic() + self.seconds
        while time.monotonic() < until:
            await asyncio.sleep(1)
            await self._one_hurt()

    async def _one_hurt(self) -> None:
        kind = self.chance.choices(
            ["kill worker", "kill web", "stop worker", "drain worker", "kill valkey"], [5, 2, 2, 2, 1]
        )[0]
        self.report.hurts[kind] += 1
        worker, web = self.chance.choice(self.cluster.workers), self.chance.choice(self.cluster.webs)
        if kind == "kill worker":
            await worker.kill()
        elif kind == "kill web":
            await web.kill()
        elif kind == "drain worker":
            worker.signal(signal.SIGTERM)
        elif kind == "kill valkey":
            await self.cluster.valkey.kill()
            await self.cluster.start_valkey()
        else:
            worker.stop()
            await asyncio.sleep(self.chance.uniform(0.5, 4))
            worker.go_on()
        self._start_dead()

    def _start_dead(self) -> None:
        """A platform's part."""
        processes: list[Process] = [*self.cluster.workers, *self.cluster.webs]
        for process in processes:
            if not process.alive:
                process.start()

    async def _heal(self) -> None:
        self._start_dead()
        await asyncio.gather(*(web.ready() for web in self.cluster.webs))

    async def _still(self) -> bool:
        self._start_dead()
        records = await asyncio.gather(*(self.cluster.run(made.run_id) for made in self.made))
        return all(record.get("phase") not in ("queued", "running") for record in records)

    # look

    async def _look(self) -> None:
        report = self.report
        report.runs = len(self.made)
        self.effects = self.cluster.effects.by_run()
        for first in range(0, len(self.made), AT_ONCE):
            await asyncio.gather(*(self._look_at(made) for made in self.made[first : first + AT_ONCE]))
        for reader in self.readers:
            report.followed += 1
            report.reconnections += reader.connections - 1
            self._must(partial(reader_has_all, reader), reader.run_id, await self.cluster.log_of(reader.run_id))
        runs, threads = {made.run_id for made in self.made}, {made.thread_id for made in self.made}
        keys, pipeline = self.cluster.keys, self.cluster.pipeline
        report.problems += await left_over(pipeline, keys, runs, threads)
        if repairs := await pipeline.send("HGETALL", keys.repairs, repeatable=True):
            report.repairs = ", ".join(word.decode() for word in repairs)
            report.problems.append(f"the doctor had to mend: {report.repairs}")

    async def _look_at(self, made: Made) -> None:
        report = self.report
        record = await self.cluster.run(made.run_id)
        if not record:
            report.problems.append(f"{made.run_id} ({made.graph}) is lost")
            return
        thread = await self.client.thread(made.thread_id)
        report.phases[record["phase"]] += 1
        report.attempts += int(record["attempt"])
        expected = _expected(made, record["phase"])
        if (record["phase"], thread["status"]) != expected:
            report.problems.append(f"{made.run_id} ({made.graph}) is {record['phase']}, thread {thread['status']}")
        log = await self.cluster.log_of(made.run_id)
        await self._look_at_log(made, log, int(record["attempt"]))
        self._look_at_effects(made, sum(name == "metadata" for _, name, _ in log) - 1)

    async def _look_at_log(self, made: Made, log: list[Entry], attempts: int) -> None:
        """It is whole, it tells everything, and a client gets exactly this."""
        self.report.events += len(log)
        self._must(partial(log_is_whole, attempts=attempts), made.run_id, log)
        self._must(partial(log_tells_all, graph=made.graph, given=made.given), made.run_id, log)
        reader = Reader(made.run_id)
        async with asyncio.timeout(READ_WITHIN_S):
            await reader.follow(self.client.urls, made.thread_id)
        self.report.read += 1
        self._must(partial(reader_has_all, reader), made.run_id, log)

    def _look_at_effects(self, made: Made, broken_off: int) -> None:
        """Everything was done; again only what an attempt that broke off had in flight. So many did."""
        report, effects = self.report, self.effects[made.run_id]
        again = repetition(effects)
        report.broken_off += broken_off
        report.supersteps += len({effect.step for effect in effects})
        report.supersteps_again += again.supersteps
        report.most_again = max(report.most_again, again.most)
        if again.forgotten:
            report.problems.append(f"{made.run_id} ({made.graph}): a superstep was left out")
        if missing := undone(made.graph, made.given, effects):
            report.problems.append(f"{made.run_id} ({made.graph}): never done: {missing}")
        if again.supersteps > broken_off or again.most > 1:
            report.problems.append(f"{made.run_id} ({made.graph}): {again}, {broken_off} attempts broke off")

    def _must(self, check: Callable[[list[Entry]], None], run_id: str, log: list[tuple[str, str, bytes]]) -> None:
        try:
            check(log)
        except AssertionError as error:
            names = " ".join(name for _, name, _ in log)
            self.report.problems.append(
                f"{run_id}: {str(error).splitlines()[0] if str(error) else 'log'}: {names[:300]}"
            )


def _expected(made: Made, phase: str) -> tuple[str, str]:
    if made.graph == "asks":
        return "waiting_for_approval", "interrupted"
    return ("failed", "error") if made.graph == "fails" else ("completed", "idle")


async def soak(runs: int, seconds: float, seed: int, checkpointer: CheckpointerName = "core") -> Report:
    """A cluster, and one soak on it."""
    async with running(webs=2, workers=3, max_attempts=50, drain_s=5, checkpointer=checkpointer) as cluster:
        return await Soak(cluster, runs, seconds, seed).run()


def main() -> None:
    structlog.configure(logger_factory=structlog.ReturnLoggerFactory())
    parser = argparse.ArgumentParser(prog="python -m tests.crash.soak", description="Kill at random, lose nothing.")
    parser.add_argument("--runs", type=int, default=500)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--seed", type=int, default=random.randrange(10**6))
    parser.add_argument("--checkpointer", choices=get_args(CheckpointerName), default="core")
    given = parser.parse_args()
    print(f"seed {given.seed}", flush=True)
    report = asyncio.run(soak(given.runs, given.seconds, given.seed, given.checkpointer))
    print(report.table())
    sys.exit(1 if report.problems else 0)


if __name__ == "__main__":
    main()
