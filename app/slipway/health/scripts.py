"""The scripts that look after the rest: how much work there is, what is wrong with it, and who looks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from slipway.redis.script_source import load
from slipway.redis.script_stubs import ScriptStubs

_WORK_CENSUS = load("work_census")
_DOCTOR = load("doctor")
_DUTY_TAKE = load("duty_acquire")

_LOOK_AT: Final = 50
"""Among how many jobs the oldest is looked for: they are ranked by priority too, so it need not be the first."""


@dataclass(frozen=True, slots=True)
class Workload:
    """How much there is to do, and who is there to do it. `repairs` is how often each problem was mended, ever."""

    workers: int
    due: int
    later: int
    leases: int
    oldest_due_s: float
    repairs: dict[str, int]


class HealthScripts(ScriptStubs):
    """On one pipeline, under one prefix; one round trip a call."""

    async def work(self, lease_ms: int) -> Workload:
        """Read in one moment; a worker lives that was heard of within `lease_ms`."""
        reply = await self._pipeline.run(_WORK_CENSUS, [], self._args(lease_ms=lease_ms, look_at=_LOOK_AT))
        workers, due, later, leases, oldest_ms = (int(count) for count in reply[:5])
        pairs = iter(reply[5])
        mended = {name.decode(): int(count) for name, count in zip(pairs, pairs, strict=True)}
        return Workload(workers, due, later, leases, oldest_ms / 1000, mended)

    async def doctor(
        self, kind: str, ids: Sequence[str], *, place: str, parked: bool, repair: bool, lease_ms: int
    ) -> list[tuple[str, str]]:
        """(problem, id) of whatever is wrong with these ids of one kind; with `repair` it is mended in the same moment.
        `place` is where they were found: the key of a queue (`parked` when it is one of a group), or a group's name."""
        arguments = self._args(kind=kind, ids=list(ids), place=place, parked=parked, repair=repair, lease_ms=lease_ms)
        reply = await self._pipeline.run(_DOCTOR, [], arguments)
        return [(problem.decode(), ident.decode()) for problem, ident in reply]

    async def acquire_duty(self, duty: str, worker: str, for_ms: int) -> bool:
        """Whether `worker` is the one who does this duty for the next `for_ms`. Who has it keeps it by asking again."""
        return bool(await self._pipeline.run(_DUTY_TAKE, [], self._args(duty=duty, worker=worker, for_ms=for_ms)))
