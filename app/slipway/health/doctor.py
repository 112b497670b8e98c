"""Detects and repairs stuck runs and threads. Scripts never leave them in that state, but a lost write of Redis, an
older release, or a person who edits the data may.

Ids are read in pages (ZSCAN, SSCAN, SCAN). One script (`redis/lua/doctor.lua`) checks and repairs a page atomically, so
the doctor does not race with workers or with another doctor.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

import structlog

from slipway.clock import Clock
from slipway.health import start_checks
from slipway.health.health import HealthMonitor
from slipway.health.scripts import HealthScripts
from slipway.redis.connection import Address
from slipway.redis.keys import Keys
from slipway.redis.pipeline import Pipeline
from slipway.settings import Settings

log = structlog.get_logger(__name__)

PAGE: Final = 100
"""Ids in one page, approximately. A script over one page blocks Redis for about a millisecond."""

SCAN_COUNT: Final = 1000
"""Keys that one SCAN reads; most of them are of other kinds."""

_PATIENCE_S: Final = 10.0

PROBLEMS: Final = {
    "queued_without_job": "a queued run that no worker would ever claim",
    "queued_without_place": "a queued run that its thread's queue does not name",
    "job_without_run": "a job whose run was deleted, has ended, or has a newer attempt",
    "parked_though_there_is_room": "a parked job of a concurrency group that is below its limit",
    "place_of_run_that_is_over": "a run that has ended and still counts in its concurrency group",
    "busy_without_run": "a busy thread without a run",
    "active_run_is_over": "a thread whose active run has ended",
    "waiting_run_is_not_queued": "a thread whose queue names a run that is not queued",
    "running_without_lease": "a running run without a lease, which the reaper would never reclaim",
    "lease_of_run_that_is_over": "a lease of a run that has ended",
    "waiting_run_not_shown": "a run that waits for an answer, while its thread does not show the interrupt",
    "waits_for_run_that_is_over": "a thread that shows the interrupt of a run that has ended or was deleted",
    "waiting_run_not_named": "a run that waits for an answer, while its thread does not name it as waiting",
}
"""The description of each problem, by its stable name."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One inconsistency in the stored records."""

    name: str
    record_id: str
    """Of the run, the thread or the job."""
    repaired: bool


@dataclass(frozen=True, slots=True)
class _Page:
    kind: str
    ids: Sequence[str]
    place: str = ""
    parked: bool = False


class Doctor:
    """Checks the records of one deployment. With `repair` it repairs each problem when it detects it."""

    def __init__(self, pipeline: Pipeline, keys: Keys, *, lease_ms: int, repair: bool) -> None:
        self._pipeline, self._keys, self._scripts = pipeline, keys, HealthScripts(pipeline, keys)
        self._lease_ms, self._repair = lease_ms, repair
        self._sweep: AsyncIterator[_Page] | None = None

    async def check_all(self) -> list[Problem]:
        """Checks all records once. Raises `StoreUnavailable`."""
        found: list[Problem] = []
        async for page in self._quick():
            found += await self._look(page)
        async for page in self._all():
            found += await self._look(page)
        return list({(problem.name, problem.record_id): problem for problem in found}.values())

    async def check_next_pages(self, pages: int) -> list[Problem]:
        """Checks all jobs and leases, and the next `pages` pages of threads and runs. Successive calls check all
        records in a cycle, so a call costs the same however many records exist. Raises `StoreUnavailable`; the next
        call then starts the cycle again."""
        found: list[Problem] = []
        sweep, self._sweep = self._sweep or self._all(), None
        async for page in self._quick():
            found += await self._look(page)
        for _ in range(pages):
            try:
                page = await anext(sweep)
            except StopAsyncIteration:
                return found
            found += await self._look(page)
        self._sweep = sweep
        return found

    async def _look(self, page: _Page) -> list[Problem]:
        if not page.ids:
            return []
        wrong = await self._scripts.doctor(
            page.kind, page.ids, place=page.place, parked=page.parked, repair=self._repair, lease_ms=self._lease_ms
        )
        for problem, ident in wrong:
            log.warning("doctor.problem_found", problem=problem, id=ident, repaired=self._repair)
        return [Problem(problem, ident, self._repair) for problem, ident in wrong]

    async def _quick(self) -> AsyncIterator[_Page]:
        """The jobs and leases: as many as runs in progress."""
        for queue in (self._keys.queue, self._keys.suspect_queue, self._keys.later_queue):
            async for jobs in self._pages("ZSCAN", queue):
                yield _Page("job", jobs, queue)
        async for runs in self._pages("ZSCAN", self._keys.leases):
            yield _Page("lease", runs)

    async def _all(self) -> AsyncIterator[_Page]:
        """All threads and runs."""
        async for threads in self._pages("ZSCAN", self._keys.threads):
            yield _Page("thread", threads)
        async for runs in self._keys_of("run", "hash"):
            yield _Page("run", runs)
        async for groups in self._keys_of("parked_queue", "zset"):
            for group in groups:
                async for jobs in self._pages("ZSCAN", self._keys.parked_queue(group)):
                    yield _Page("job", jobs, self._keys.parked_queue(group), parked=True)
        async for groups in self._keys_of("group_runs", "set"):
            for group in groups:
                async for runs in self._pages("SSCAN", self._keys.group_runs(group)):
                    yield _Page("place", runs, group)

    async def _pages(self, verb: str, key: str) -> AsyncIterator[list[str]]:
        """The members of a key, page by page."""
        cursor: Any = 0
        while True:
            cursor, members = await self._pipeline.send(verb, key, cursor, "COUNT", PAGE, repeatable=True)
            names = [member.decode() for member in (members[::2] if verb == "ZSCAN" else members)]
            for first in range(0, len(names), PAGE):  # Redis returns a small key as one page
                yield names[first : first + PAGE]
            if int(cursor) == 0:
                return

    async def _keys_of(self, kind: str, stored_as: str) -> AsyncIterator[list[str]]:
        """Whose keys of a kind there are, page by page."""
        cursor: Any = 0
        pattern = self._keys.pattern(kind)
        while True:
            cursor, names = await self._pipeline.send(
                "SCAN", cursor, "MATCH", pattern, "COUNT", SCAN_COUNT, "TYPE", stored_as, repeatable=True
            )
            idents = [ident for name in names if (ident := self._keys.ident(kind, name.decode())) is not None]
            for first in range(0, len(idents), PAGE):
                yield idents[first : first + PAGE]
            if int(cursor) == 0:
                return


def table(found: Sequence[Problem]) -> str:
    """The problems as a table, one row each."""
    if not found:
        return "no run and no thread is stuck"
    rows = [("problem", "id", "", "description")]
    for problem in found:
        rows.append((problem.name, problem.record_id, "repaired" if problem.repaired else "", PROBLEMS[problem.name]))
    widths = [max(len(row[column]) for row in rows) for column in range(3)]
    lines = (
        "  ".join([*(cell.ljust(width) for cell, width in zip(row, widths, strict=False)), row[3]]) for row in rows
    )
    return "\n".join(line.rstrip() for line in lines)


async def report(settings: Settings, *, repair: bool) -> tuple[str, bool]:
    """Returns what `slipway doctor` prints, and whether no problem is left. Opens one connection. Raises
    `StoreUnavailable`, and `ConfigError` when the server does not support the checkpointer."""
    await start_checks.check(settings, settings.redis, upgrade=False)
    pipeline, keys = (
        Pipeline(Address(settings.redis), "slipway doctor", patience_s=_PATIENCE_S),
        Keys(settings.key_prefix),
    )
    await pipeline.open()
    try:
        health = await HealthMonitor(pipeline, keys, settings, Clock()).measure()
        found = await Doctor(pipeline, keys, lease_ms=int(settings.lease_s * 1000), repair=repair).check_all()
    finally:
        await pipeline.close()
    lines = [f"{finding.level.value:8} {finding.code:22} {finding.detail}" for finding in health.findings]
    return "\n".join([*lines, table(found)]), health.ready and all(problem.repaired for problem in found)
