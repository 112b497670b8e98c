"""Stubs of the scripts that measure the workload, detect and repair problems, and assign duties to workers."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from slipway.redis.script_source import load
from slipway.redis.script_stubs import ScriptStubs

_WORKLOAD = load("workload")
_WORKER_COUNT = load("worker_count")
_DOCTOR = load("doctor")
_DUTY_ACQUIRE = load("duty_acquire")

_MAX_JOBS: Final = 50
"""Jobs at the front of each queue among which the oldest is searched: priority moves jobs, so it may not be the
first."""


@dataclass(frozen=True, slots=True)
class Workload:
    """Live workers, and jobs by state. `repairs` counts the repairs of each problem since the deployment exists."""

    workers: int
    due: int
    later: int
    leases: int
    oldest_due_s: float
    repairs: dict[str, int]


class HealthScripts(ScriptStubs):
    """Each method takes one round trip."""

    async def workload(self, lease_ms: int) -> Workload:
        """Reads the workload with two scripts in one write; all numbers except the workers are of one moment. Workers
        whose last heartbeat is younger than `lease_ms` count as live."""
        (*counts, repairs), workers = await asyncio.gather(
            self._pipeline.run(_WORKLOAD, [], self._args(max_jobs=_MAX_JOBS)),
            self._pipeline.run(_WORKER_COUNT, [], self._args(lease_ms=lease_ms)),
        )
        due, later, leases, oldest_ms = map(int, counts)
        pairs = iter(repairs)
        repairs_by_problem = {name.decode(): int(count) for name, count in zip(pairs, pairs, strict=True)}
        return Workload(int(workers), due, later, leases, oldest_ms / 1000, repairs_by_problem)

    async def doctor(
        self, kind: str, ids: Sequence[str], *, container: str, parked: bool, repair: bool, lease_ms: int
    ) -> list[tuple[str, str]]:
        """Returns (problem, id) for each problem of these ids of one kind. With `repair` it is repaired in the same
        script. `container` has these ids: the key of a queue (`parked` if it is the queue of a concurrency
        group), or the name of a group."""
        arguments = self._args(
            kind=kind, ids=list(ids), container=container, parked=parked, repair=repair, lease_ms=lease_ms
        )
        reply = await self._pipeline.run(_DOCTOR, [], arguments)
        return [(problem.decode(), ident.decode()) for problem, ident in reply]

    async def count_repairs(self, problem: str, count: int) -> None:
        """Adds to the number of repairs of a problem."""
        if count:
            await self._pipeline.send("HINCRBY", self._keys.repairs, problem, count)

    async def acquire_duty(self, duty: str, worker: str, for_ms: int) -> bool:
        """Whether `worker` holds this duty for the next `for_ms`. The holder renews it by calling this again."""
        return bool(await self._pipeline.run(_DUTY_ACQUIRE, [], self._args(duty=duty, worker=worker, for_ms=for_ms)))
