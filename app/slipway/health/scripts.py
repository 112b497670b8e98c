"""Stubs of the scripts that measure the workload, and detect and repair problems."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from slipway.graph_versions.record import Lane, all_lanes
from slipway.redis.keys import Keys
from slipway.redis.pipeline import Pipeline
from slipway.redis.script_source import load
from slipway.redis.script_stubs import arguments_for
from slipway.redis.shards import Shards
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

    def __add__(self, other: WaitingForPeople) -> WaitingForPeople:
        """What waits in two shards. Both count the same graphs."""
        return WaitingForPeople(
            {graph: number + other.undecided[graph] for graph, number in self.undecided.items()},
            {graph: number + other.overdue[graph] for graph, number in self.overdue.items()},
            max(self.oldest_s, other.oldest_s),
            self.paused_by_operators + other.paused_by_operators,
            self.paused_by_switches + other.paused_by_switches,
        )


class HealthScripts:
    """Each method takes one round trip."""

    def __init__(self, pipeline: Pipeline, shards: Shards) -> None:
        self._pipeline, self._shards = pipeline, shards

    async def workload(self, lease_ms: int) -> Workload:
        """Reads the workload of all shards and the number of workers, with scripts that are sent together. The numbers
        of one shard are read atomically. A worker counts as live for `lease_ms` after its last heartbeat."""
        workers, *of_shards = await asyncio.gather(
            self._pipeline.run(_WORKER_COUNT, [], arguments_for(self._shards.processes, {"lease_ms": lease_ms})),
            *(
                self._pipeline.run(_WORKLOAD, [], arguments_for(keys, {"max_jobs": _MAX_JOBS}))
                for keys in self._shards.threads
            ),
        )
        due, later, leases, oldest_ms = zip(*(map(int, each[:4]) for each in of_shards), strict=True)
        repairs: Counter[str] = Counter()
        for each in of_shards:
            pairs = iter(each[4])
            repairs.update({name.decode(): int(count) for name, count in zip(pairs, pairs, strict=True)})
        lanes = all_lanes([[Lane.from_reply(*lane) for lane in each[5]] for each in of_shards])
        return Workload(int(workers), sum(due), sum(later), sum(leases), max(oldest_ms) / 1000, dict(repairs), lanes)

    async def waiting_for_people(self, graph_ids: Sequence[str]) -> WaitingForPeople:
        """Counts the reviews of these graphs, and the paused runs of all."""
        of_shards = await asyncio.gather(*(self._waiting_in(keys, graph_ids) for keys in self._shards.threads))
        first, *others = of_shards
        return sum(others, first)

    async def _waiting_in(self, keys: Keys, graph_ids: Sequence[str]) -> WaitingForPeople:
        arguments = arguments_for(keys, {"graphs": list(graph_ids)})
        oldest_ms, by_operators, at_switches, counts = await self._pipeline.run(_WAITING_FOR_PEOPLE, [], arguments)
        return WaitingForPeople(
            dict(zip(graph_ids, map(int, counts[::2]), strict=True)),
            dict(zip(graph_ids, map(int, counts[1::2]), strict=True)),
            int(oldest_ms) / 1000,
            int(by_operators),
            int(at_switches),
        )

    async def doctor(
        self, keys: Keys, kind: str, ids: Sequence[str], *, container: str, parked: bool, repair: bool, lease_ms: int
    ) -> list[tuple[str, str]]:
        """Returns (problem, id) for each problem of these ids of one kind in one shard, that of `keys`. With `repair`
        it is repaired in the same script. `container` has these ids: the key of a queue (`parked` if it is the queue of
        a concurrency group), or the name of a concurrency group."""
        arguments = {
            "kind": kind,
            "ids": list(ids),
            "container": container,
            "parked": parked,
            "repair": repair,
            "lease_ms": lease_ms,
            "encryption_mark": MARK[0],
            "encrypted_empty_bytes": OVERHEAD_BYTES + len(b"{}"),
        }
        reply = await self._pipeline.run(_DOCTOR, [], arguments_for(keys, arguments))
        return [(problem.decode(), ident.decode()) for problem, ident in reply]

    async def count_repairs(self, problem: str, count: int) -> None:
        """Adds `count` to the number of repairs of a problem."""
        if count:
            await self._pipeline.send("HINCRBY", self._shards.home.repairs, problem, count)
