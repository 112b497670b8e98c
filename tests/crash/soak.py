"""A randomized soak test: `python -m tests.crash.soak [--runs 500] [--seconds 60] [--seed N]`.

Two web processes and three workers execute different runs while a process is killed, suspended or drained every
second. In the end each run must have ended or wait for an answer, each event log must be complete, each superstep must
be done once unless its attempt was killed, and every key must belong to a run or thread. Prints a table; the exit code
is 1 when it found a problem.
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
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from itertools import pairwise
from typing import Any, Final, get_args

import structlog

from slipway.checkpoints.requirements import CheckpointerName
from slipway.settings import Settings
from tests.crash.checks import (
    Entry,
    assert_log_is_complete,
    assert_log_is_consistent,
    assert_reader_received_all,
    missing_work,
)
from tests.crash.clients import Client, Reader
from tests.crash.cluster import Cluster, Process, running
from tests.crash.effects import Effect, repetition
from tests.crash.leftovers import leftover_problems
from tests.crash.recovery_times import (
    KilledAttempt,
    Recovery,
    attempts_of,
    reclaim_times,
    recoveries_of,
    recovery_table,
)
from tests.waiting import wait_until

SETTLE_WITHIN_S = 120.0
READ_WITHIN_S = 60.0
READERS = 20
"""The number of runs that a client follows while they execute. The logs of all runs are read after they ended."""

DEFAULT_LEASES: Mapping[str, Any] = {
    name: Settings.model_fields[name].default for name in ("lease_s", "heartbeat_s", "reap_every_s")
}
"""The leases of a deployment. Those of `cluster` are shorter."""

CHECKED_AT_ONCE = 10
"""The number of runs that are checked concurrently."""


@dataclass(slots=True)
class SubmittedRun:
    """A run that the server accepted."""

    graph: str
    thread_id: str
    run_id: str
    graph_input: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Disturbance:
    """What was done to a process. `at` is the time in seconds since 1970, when it was done."""

    at: float
    name: str
    pid: int


@dataclass(slots=True)
class Report:
    """The counts and the problems of a soak test."""

    seed: int
    runs: int = 0
    seconds: float = 0
    disturbances: Counter[str] = field(default_factory=Counter)
    phases: Counter[str] = field(default_factory=Counter)
    attempts: int = 0
    killed_attempts: int = 0
    supersteps: int = 0
    repeated_supersteps: int = 0
    most_repeated: int = 0
    events: int = 0
    logs_read: int = 0
    logs_followed: int = 0
    repairs: str = "none"
    reconnections: int = 0
    recoveries: list[Recovery] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    def table(self) -> str:
        disturbances = ", ".join(f"{count} x {name}" for name, count in sorted(self.disturbances.items()))
        phases = ", ".join(f"{count} {name}" for name, count in sorted(self.phases.items()))
        rows = [
            ("seed", self.seed),
            ("seconds", f"{self.seconds:.0f}"),
            ("disturbances", disturbances),
            ("runs accepted", self.runs),
            ("runs by phase", phases),
            ("runs lost", self.runs - sum(self.phases.values())),
            ("attempts, of which were killed", f"{self.attempts}, {self.killed_attempts}"),
            ("supersteps, of which were repeated", f"{self.supersteps}, {self.repeated_supersteps}"),
            ("most supersteps repeated by one attempt", self.most_repeated),
            ("events in the logs", self.events),
            (
                "logs read, logs followed live, reconnections",
                f"{self.logs_read}, {self.logs_followed}, {self.reconnections}",
            ),
            *recovery_table(self.recoveries),
            ("repairs by the doctor", self.repairs),
            ("problems", len(self.problems)),
        ]
        width = max(len(name) for name, _ in rows)
        return "\n".join([*(f"{name:<{width}}  {value}" for name, value in rows), *self.problems[:20]])


class Soak:
    """One soak on one cluster."""

    disturbance_weights: tuple[int, ...] = (5, 2, 2, 2, 1)
    """How often what is done, in the order of `_disturb_once`."""
    client_timeout_s = 30.0
    """Seconds after which clients try the next web process."""

    def __init__(self, cluster: Cluster, runs: int, seconds: float, seed: int) -> None:
        self.cluster, self.runs, self.seconds = cluster, runs, seconds
        self.rng = random.Random(seed)
        self.disturbance_rng = random.Random(f"disturbances {seed}")
        self.report = Report(seed)
        self.submitted: list[SubmittedRun] = []
        self.readers: list[Reader] = []
        self.effects: dict[str, list[Effect]] = {}
        self.disturbances: list[Disturbance] = []
        self.killed: list[KilledAttempt] = []
        self.reclaims: dict[tuple[str, int], float] = {}
        self.client = Client(*(web.url for web in cluster.webs), timeout_s=self.client_timeout_s)

    async def run(self) -> Report:
        started = time.monotonic()
        disturbing = asyncio.create_task(self._disturb(), name="disturb")
        following = await self._submit_runs()
        await disturbing
        await self._restore()
        try:
            await wait_until(self._is_idle, SETTLE_WITHIN_S)
            async with asyncio.timeout(30):
                await asyncio.gather(*following)
        except (AssertionError, TimeoutError) as error:
            self.report.problems.append(f"not idle in time: {error}")
        for task in following:
            task.cancel()
        self.report.seconds = time.monotonic() - started
        await self._check()
        await self.client.close()
        return self.report

    async def _submit_runs(self) -> list[asyncio.Task[None]]:
        following: list[asyncio.Task[None]] = []
        pause_s = self.seconds * 0.8 / self.runs
        for number in range(self.runs):
            run = await self._submit_one()
            self.submitted.append(run)
            if number % max(self.runs // READERS, 1) == 0:
                reader = Reader(run.run_id, silence_s=min(self.client_timeout_s, 15))
                self.readers.append(reader)
                following.append(asyncio.create_task(reader.follow(self.client.urls, run.thread_id)))
            await asyncio.sleep(pause_s)
        return following

    async def _submit_one(self) -> SubmittedRun:
        thread_id = str(uuid.uuid4())
        graph, graph_input = self._random_run()
        # a request without a response may have created the run: the same key makes the repeated request return it
        run_id = await self.client.start(graph, graph_input, thread_id, key=thread_id)
        return SubmittedRun(graph, thread_id, run_id, graph_input)

    def _random_run(self) -> tuple[str, dict[str, Any]]:
        rng = self.rng
        choices: list[tuple[str, dict[str, Any]]] = [
            ("steps", {"upto": rng.randint(1, 30), "pause_s": 0.02}),
            ("steps", {"upto": rng.randint(1, 30), "pause_s": 0.02}),
            ("steps", {"upto": 3, "pause_s": rng.uniform(0.3, 1.0)}),
            ("steps", {"upto": 2, "pause_s": 0.1, "how": "block"}),
            ("steps", {"upto": 2, "pause_s": 0.05, "how": "burn"}),
            ("fan", {"parts": [rng.uniform(0, 0.4) for _ in range(rng.randint(2, 8))]}),
            ("asks", {"upto": 1}),
            ("fails", {"upto": 1}),
        ]
        return rng.choice(choices)

    async def _disturb(self) -> None:
        until = time.monotonic() + self.seconds
        while time.monotonic() < until:
            await asyncio.sleep(1)
            await self._disturb_once()

    async def _disturb_once(self) -> None:
        disturbance = self.disturbance_rng.choices(
            ["kill worker", "kill web", "stop worker", "drain worker", "kill valkey"], self.disturbance_weights
        )[0]
        self.report.disturbances[disturbance] += 1
        worker, web = self.disturbance_rng.choice(self.cluster.workers), self.disturbance_rng.choice(self.cluster.webs)
        target = {"kill web": web, "kill valkey": self.cluster.valkey}.get(disturbance, worker)
        self.disturbances.append(Disturbance(time.time(), disturbance, target.pid))
        if disturbance == "kill worker":
            await self._kill_worker(worker)
        elif disturbance == "kill web":
            await web.kill()
        elif disturbance == "drain worker":
            worker.signal(signal.SIGTERM)
        elif disturbance == "kill valkey":
            await self.cluster.valkey.kill()
            await self.cluster.start_valkey()
        else:
            worker.suspend()
            await asyncio.sleep(self.disturbance_rng.uniform(0.5, 4))
            worker.resume()
        self._start_exited()

    async def _kill_worker(self, worker: Process) -> None:
        killed_at = time.time()
        await worker.kill()
        self.killed += await attempts_of(self.cluster.pipeline, self.cluster.shards, worker.pid, killed_at)

    def _start_exited(self) -> None:
        """Restarts exited processes, as a hosting platform does."""
        processes: list[Process] = [*self.cluster.workers, *self.cluster.webs]
        for process in processes:
            if not process.alive:
                process.start()

    async def _restore(self) -> None:
        self._start_exited()
        await asyncio.gather(*(web.wait_until_ready() for web in self.cluster.webs))

    async def _is_idle(self) -> bool:
        self._start_exited()
        records = await asyncio.gather(*(self.cluster.run(run.run_id) for run in self.submitted))
        return all(record.get("phase") not in ("queued", "running") for record in records)

    async def _check(self) -> None:
        report = self.report
        report.runs = len(self.submitted)
        self.effects = self.cluster.effects.by_run()
        self.reclaims = reclaim_times(worker.log for worker in self.cluster.workers)
        for first in range(0, len(self.submitted), CHECKED_AT_ONCE):
            await asyncio.gather(*(self._check_run(run) for run in self.submitted[first : first + CHECKED_AT_ONCE]))
        for reader in self.readers:
            report.logs_followed += 1
            report.reconnections += reader.connections - 1
            self._report_failure_of(
                partial(assert_reader_received_all, reader), reader.run_id, await self.cluster.log_of(reader.run_id)
            )
        runs, threads = {run.run_id for run in self.submitted}, {run.thread_id for run in self.submitted}
        shards, pipeline = self.cluster.shards, self.cluster.pipeline
        report.problems += await leftover_problems(pipeline, shards, runs, threads)
        for keys in shards.threads:
            if repairs := await pipeline.send("HGETALL", keys.repairs, repeatable=True):
                report.repairs = ", ".join(name.decode() for name in repairs)
                report.problems.append(f"the doctor repaired: {report.repairs}")

    async def _check_run(self, run: SubmittedRun) -> None:
        report = self.report
        record = await self.cluster.run(run.run_id)
        if not record:
            report.problems.append(f"{run.run_id} ({run.graph}) is lost")
            return
        thread = await self.client.thread(run.thread_id)
        report.phases[record["phase"]] += 1
        report.attempts += int(record["attempt"])
        expected = _expected(run, record["phase"])
        if (record["phase"], thread["status"]) != expected:
            report.problems.append(f"{run.run_id} ({run.graph}) is {record['phase']}, thread {thread['status']}")
        log = await self.cluster.log_of(run.run_id)
        await self._check_log(run, log, int(record["attempt"]))
        self._check_effects(run, sum(name == "metadata" for _, name, _ in log) - 1)
        self._measure_recoveries(run, log)

    async def _check_log(self, run: SubmittedRun, log: list[Entry], attempts: int) -> None:
        """The log is consistent and complete, and a client receives exactly its events."""
        self.report.events += len(log)
        self._report_failure_of(partial(assert_log_is_consistent, attempts=attempts), run.run_id, log)
        self._report_failure_of(
            partial(assert_log_is_complete, graph=run.graph, graph_input=run.graph_input), run.run_id, log
        )
        reader = Reader(run.run_id)
        async with asyncio.timeout(READ_WITHIN_S):
            await reader.follow(self.client.urls, run.thread_id)
        self.report.logs_read += 1
        self._report_failure_of(partial(assert_reader_received_all, reader), run.run_id, log)

    def _check_effects(self, run: SubmittedRun, killed_attempts: int) -> None:
        """All work was done. At most one superstep was repeated for each of the killed attempts, and one more if Valkey
        was lost too."""
        report, effects = self.report, self.effects[run.run_id]
        repeated = repetition(effects)
        report.killed_attempts += killed_attempts
        report.supersteps += len({effect.step for effect in effects})
        report.repeated_supersteps += repeated.supersteps
        report.most_repeated = max(report.most_repeated, repeated.most)
        if repeated.skipped:
            report.problems.append(f"{run.run_id} ({run.graph}): a superstep was skipped")
        if missing := missing_work(run.graph, run.graph_input, effects):
            report.problems.append(f"{run.run_id} ({run.graph}): never done: {missing}")
        losses = self._losses_of_redis(effects)
        if repeated.supersteps > killed_attempts + losses or repeated.most > 1 + min(losses, 1):
            report.problems.append(
                f"{run.run_id} ({run.graph}): {repeated}, {killed_attempts} attempts were killed"
                + self._timeline(effects)
            )

    def _measure_recoveries(self, run: SubmittedRun, log: list[Entry]) -> None:
        claims = [int(entry_id.partition("-")[0]) / 1000 for entry_id, name, _ in log if name == "metadata"]
        killed = [each for each in self.killed if each.run_id == run.run_id]
        kills_of_valkey = [each.at for each in self.disturbances if each.name == "kill valkey"]
        effects = self.effects[run.run_id]
        self.report.recoveries += recoveries_of(killed, effects, claims, self.reclaims, kills_of_valkey)

    def _losses_of_redis(self, effects: list[Effect]) -> int:
        """The number of attempts between whose start and the start of the next one Valkey was killed: each may have
        lost one superstep more."""
        starts = sorted({each.attempt: each.at for each in reversed(effects)}.values())
        killed = [each.at for each in self.disturbances if each.name == "kill valkey"]
        return sum(any(start < at < end for at in killed) for start, end in pairwise(starts))

    def _timeline(self, effects: list[Effect]) -> str:
        """The supersteps that were executed and the disturbances in between, one a line, with seconds since the
        first."""
        first, last = effects[0].at, effects[-1].at
        lines = [(each.at, f"attempt {each.attempt} (pid {each.pid}): {each.event} {each.step}") for each in effects]
        lines += [
            (each.at, f"{each.name} (pid {each.pid})") for each in self.disturbances if first - 2 <= each.at <= last
        ]
        return "".join(f"\n    {at - first:7.3f}  {text}" for at, text in sorted(lines))

    def _report_failure_of(
        self, check: Callable[[list[Entry]], None], run_id: str, log: list[tuple[str, str, bytes]]
    ) -> None:
        try:
            check(log)
        except AssertionError as error:
            names = " ".join(name for _, name, _ in log)
            self.report.problems.append(
                f"{run_id}: {str(error).splitlines()[0] if str(error) else 'log'}: {names[:300]}"
            )


class LongRuns(Soak):
    """Each run takes `run_s` seconds, so a killed worker executes many of them, and attempts are
    killed one after the other."""

    run_s: Final = 5.0

    def _random_run(self) -> tuple[str, dict[str, Any]]:
        pause_s = self.rng.uniform(0.1, 1)
        return "steps", {"upto": max(round(self.run_s / pause_s), 1), "pause_s": pause_s}


class LongRunsOfKilledWorkers(LongRuns):
    """The same, while only workers are killed, one each second."""

    disturbance_weights = (1, 0, 0, 0, 0)


class WorkerKills(Soak):
    """Only workers are killed, twice a second, while they execute many quick supersteps. So more of them are killed in
    the moment after the start of a superstep, when Redis may not have read what precedes it."""

    def _random_run(self) -> tuple[str, dict[str, Any]]:
        return "steps", {"upto": 40, "pause_s": 0.005}

    async def _disturb(self) -> None:
        until = time.monotonic() + self.seconds
        while time.monotonic() < until:
            await asyncio.sleep(0.5)
            worker = self.disturbance_rng.choice(self.cluster.workers)
            self.report.disturbances["kill worker"] += 1
            self.disturbances.append(Disturbance(time.time(), "kill worker", worker.pid))
            await self._kill_worker(worker)
            self._start_exited()


def _expected(run: SubmittedRun, phase: str) -> tuple[str, str]:
    if run.graph == "asks":
        return "waiting_for_approval", "interrupted"
    return ("failed", "error") if run.graph == "fails" else ("completed", "idle")


async def soak(
    runs: int,
    seconds: float,
    seed: int,
    checkpointer: CheckpointerName = "core",
    *,
    only_workers: bool = False,
    long_runs: bool = False,
    default_leases: bool = False,
) -> Report:
    """One soak test on a new cluster."""
    short, long = (WorkerKills, LongRunsOfKilledWorkers) if only_workers else (Soak, LongRuns)
    kind = long if long_runs else short
    settings = DEFAULT_LEASES if default_leases else {}
    async with running(webs=2, workers=3, max_attempts=50, drain_s=5, checkpointer=checkpointer, **settings) as cluster:
        return await kind(cluster, runs, seconds, seed).run()


def main() -> None:
    structlog.configure(logger_factory=structlog.ReturnLoggerFactory())
    parser = argparse.ArgumentParser(
        prog="python -m tests.crash.soak", description="Kill processes at random and check that nothing is lost."
    )
    parser.add_argument("--runs", type=int, default=500)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--seed", type=int, default=random.randrange(10**6))
    parser.add_argument("--checkpointer", choices=get_args(CheckpointerName), default="core")
    parser.add_argument("--only-workers", action="store_true", help="kill only workers, during quick supersteps")
    parser.add_argument("--long-runs", action="store_true", help="runs of 5 s, so that a killed worker executes many")
    parser.add_argument(
        "--default-leases", action="store_true", help="leases of 8 s, as in a deployment, to measure recovery times"
    )
    arguments = parser.parse_args()
    print(f"seed {arguments.seed}", flush=True)
    report = asyncio.run(
        soak(
            arguments.runs,
            arguments.seconds,
            arguments.seed,
            arguments.checkpointer,
            only_workers=arguments.only_workers,
            long_runs=arguments.long_runs,
            default_leases=arguments.default_leases,
        )
    )
    print(report.table())
    sys.exit(1 if report.problems else 0)


if __name__ == "__main__":
    main()
