"""Stubs of the scripts that measure the workload, and detect and repair problems."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from slipway.graph_versions.record import Lane
from slipway.redis.script_source import load
from slipway.redis.script_stubs import ScriptStubs
from slipway.serialization.encryption import MARK, OVERHEAD_BYTES

_WORKLOAD = load("workload")
_WORKER_COUNT = load("worker_count")
_WAITING_FOR_PEOPLE = load("waiting_for_people")
_DOCTOR = load("doctor")

_MAX_JOBS: Final = 50
"""How many jobs at the front of each queue are read to find the oldest. It may not be the first job, because priorities
change the order."""


@dataclass(frozen=True, slots=True)
class Workload:
    """Live workers, and jobs by state. `due` are also those in `lanes`. `repairs` counts the repairs of each problem
    since the deployment exists."""

    workers: int
    due: int
    later: int
    leases: int
    oldest_due_s: float
    repairs: dict[str, int]
    lanes: Sequence[Lane] = ()
    """The runs that wait for a worker that serves their version."""


@dataclass(frozen=True, slots=True)
class WaitingForPeople:
    """What waits for people. `undecided` and `overdue` count reviews by graph."""

    undecided: dict[str, int]
    overdue: dict[str, int]
    oldest_s: float
    """Since the oldest undecided review was opened; 0 without one."""
    paused_by_operators: int
    paused_by_switches: int


class HealthScripts(ScriptStubs):
    """Each method takes one round trip."""

    async def workload(self, lease_ms: int) -> Workload:
        """Reads the workload with two scripts, sent together. All numbers except the workers are read atomically. A
        worker counts as live for `lease_ms` after its last heartbeat."""
        (*counts, repairs, lanes), workers = await asyncio.gather(
            self._pipeline.run(_WORKLOAD, [], self._args(max_jobs=_MAX_JOBS)),
            self._pipeline.run(_WORKER_COUNT, [], self._args(lease_ms=lease_ms)),
        )
        due, later, leases, oldest_ms = map(int, counts)
        pairs = iter(repairs)
        repairs_by_problem = {name.decode(): int(count) for name, count in zip(pairs, pairs, strict=True)}
        waiting = [Lane.from_reply(*lane) for lane in lanes]
        return Workload(int(workers), due, later, leases, oldest_ms / 1000, repairs_by_problem, waiting)

    async def waiting_for_people(self, graph_ids: Sequence[str]) -> WaitingForPeople:
        """Counts the reviews of these graphs, and the paused runs of all."""
        arguments = self._args(graphs=list(graph_ids))
        oldest_ms, by_operators, at_switches, counts = await self._pipeline.run(_WAITING_FOR_PEOPLE, [], arguments)
        return WaitingForPeople(
            dict(zip(graph_ids, map(int, counts[::2]), strict=True)),
            dict(zip(graph_ids, map(int, counts[1::2]), strict=True)),
            int(oldest_ms) / 1000,
            int(by_operators),
            int(at_switches),
        )

    async def doctor(
        self, kind: str, ids: Sequence[str], *, container: str, parked: bool, repair: bool, lease_ms: int
    ) -> list[tuple[str, str]]:
        """Returns (problem, id) for each problem of these ids of one kind. With `repair` it is repaired in the same
        script. `container` has these ids: the key of a queue (`parked` if it is the queue of a concurrency
        group), or the name of a concurrency group."""
        arguments = self._args(
            kind=kind,
            ids=list(ids),
            container=container,
            parked=parked,
            repair=repair,
            lease_ms=lease_ms,
            encryption_mark=MARK[0],
            encrypted_empty_bytes=OVERHEAD_BYTES + len(b"{}"),
        )
        reply = await self._pipeline.run(_DOCTOR, [], arguments)
        return [(problem.decode(), ident.decode()) for problem, ident in reply]

    async def count_repairs(self, problem: str, count: int) -> None:
        """Adds `count` to the number of repairs of a problem."""
        if count:
            await self._pipeline.send("HINCRBY", self._keys.repairs, problem, count)
