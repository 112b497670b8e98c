"""The script stub of waiting reasons."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import ormsgpack

from slipway.redis.hash_fields import fields_of
from slipway.redis.script_source import load
from slipway.redis.script_stubs import RecordScriptStubs
from slipway.runs.record import Run, run_from
from slipway.waiting_reasons.record import MOST_RUNS

_WAITING_REASON: Final = load("waiting_reason")


@dataclass(frozen=True, slots=True)
class QueuePlace:
    """Where the job of a queued run is."""

    queue: str
    """`queue`, `suspects`, `later`, `lane` or `parked`."""
    score_ms: float
    """The rank of the job: when it is due, with its priority; in the later queue only when it is due."""
    rank: int
    """How many jobs are before it."""
    length: int
    before: Sequence[str]
    """The first of the runs before it."""


@dataclass(frozen=True, slots=True)
class GroupAtLimit:
    """The concurrency group for which the job is parked."""

    name: str
    limit: int
    running: int
    holders: Sequence[str]
    """Some of the runs that execute."""


@dataclass(frozen=True, slots=True)
class MemoryRoom:
    """What Redis has room for, as it was measured last. Bytes; None if it was not measured."""

    startable: int | None
    used: int | None
    most: int | None
    expected: int | None
    """What a run of the graph usually stores."""


@dataclass(frozen=True, slots=True)
class Surroundings:
    """A run, and what decides when it continues, at one moment."""

    run: Run
    now_us: int
    workers: int
    """Live workers that claim runs."""
    active: str | None = None
    """The run that executes on the thread of a queued run."""
    thread_rank: int = 0
    thread_before: Sequence[str] = ()
    place: QueuePlace | None = None
    group: GroupAtLimit | None = None
    lane: str | None = None
    lane_served: bool = False
    suspects: Sequence[str] = ()
    memory: MemoryRoom | None = None
    lease_until_us: int | None = None
    grace_until_us: int = 0
    tools: Sequence[str] = ()
    """With a recorded call that has begun and not ended."""


class WaitingReasonScripts(RecordScriptStubs):
    """One round trip each."""

    async def surroundings(self, run_id: str) -> Surroundings | None:
        """None if the run does not exist."""
        reply = await self._pipeline.run(_WAITING_REASON, [], self._of_run(run_id, most=MOST_RUNS))
        if not reply:
            return None
        fields, found = fields_of(reply[0]), ormsgpack.unpackb(reply[1])
        return Surroundings(
            run=run_from(fields),
            now_us=int(found["now_us"]),
            workers=found["workers"],
            active=found.get("active"),
            thread_rank=found.get("thread_rank", 0),
            thread_before=_list(found, "thread_before"),
            place=_place(found),
            group=_group(found),
            lane=found.get("lane"),
            lane_served=bool(found.get("lane_served")),
            suspects=_list(found, "suspects"),
            memory=_memory(found),
            lease_until_us=int(float(found["lease_ms"]) * 1000) if found.get("lease_ms") else None,
            grace_until_us=int(float(found.get("grace_ms") or 0) * 1000),
            tools=_list(found, "tools"),
        )


def _place(found: Mapping[str, Any]) -> QueuePlace | None:
    if "queue" not in found:
        return None
    return QueuePlace(found["queue"], float(found["score"]), found["rank"], found["length"], _list(found, "before"))


def _group(found: Mapping[str, Any]) -> GroupAtLimit | None:
    if "group" not in found:
        return None
    return GroupAtLimit(found["group"], int(found["limit"]), found["held"], _list(found, "holders"))


def _memory(found: Mapping[str, Any]) -> MemoryRoom | None:
    if "memory" not in found:
        return None
    return MemoryRoom(*(None if each in (None, False) else int(float(each)) for each in found["memory"]))


def _list(found: Mapping[str, Any], name: str) -> list[str]:
    """A list of Lua; an empty one may come as an empty map."""
    return list(found.get(name) or ())
