"""Detects and repairs stuck runs and threads, crons whose thread was deleted, and indexes that contradict the records.

Scripts never leave stuck runs or threads. But Redis may lose a write, an older release may have written the data, or a
person may edit it. A process that dies while it deletes a thread leaves the thread's crons.

Ids are read in pages (ZSCAN, SSCAN, SCAN). One script (`redis/lua/doctor.lua`) checks and repairs a page of runs or
threads atomically, so the doctor does not race with workers or with another doctor.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final

import structlog

from slipway.crons.crons_of_deleted_threads import CronsOfDeletedThreads
from slipway.health.index_checks import IndexChecks, Problems
from slipway.health.reads import INDEXED_KINDS, HealthReads, IdPage, pages_of_ids
from slipway.health.scripts import HealthScripts
from slipway.indexes.resumable_check import ResumableCheck
from slipway.progress import ShowProgress, show_nothing
from slipway.redis.pipeline import Pipeline
from slipway.redis.shards import Shards
from slipway.threads.index_check import ThreadIndexCheck

log = structlog.get_logger(__name__)

_ENTRY: Final = "_entry"
"""The suffix of the kind of a page of entries of an index."""

PROBLEMS: Final = {
    "queued_without_job": "a queued run that no worker would ever claim",
    "paused_by_nothing": "a paused run that neither an operator nor a switch pauses",
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
    "thread_indexed_wrongly": "a thread that searches do not find as its record is, or not at all",
    "thread_in_wrong_index": "a set of an index that names a thread without this term or status",
    "cron_without_thread": "a cron whose thread was deleted",
    "run_not_indexed": "a run that searches across threads do not find",
    "run_indexed_wrongly": "an index of runs that names a run which it must not name",
    "assistant_not_indexed": "an assistant that searches do not find",
    "assistant_indexed_wrongly": "an index of assistants that names an assistant which it must not name",
    "cron_not_indexed": "a cron that searches do not find",
    "cron_indexed_wrongly": "an index of crons that names a cron which it must not name",
    "paused_not_indexed": "a paused run that the figures of paused runs do not count",
    "paused_run_is_over": "a run that is not paused and that the figures of paused runs count",
    "queued_not_counted": "a queued run that the figures of the queue do not count",
    "counted_but_not_queued": "a run that is not queued and that the figures of the queue count",
    "review_not_indexed": "a review that lists do not show, or whose times nobody looks at",
    "review_indexed_wrongly": "an index of reviews that names a review which it must not name",
    "review_without_run": "a review whose run was deleted",
    "review_of_run_that_is_over": "a review that waits for a decision or for its run, which does not wait any more",
    "review_not_resumed": "a review of a run that has all its answers and that nobody would resume",
    "namespace_not_indexed": "a namespace of the store whose newest items a search of many namespaces does not find",
}
"""The description of each problem, by its stable name."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One inconsistency in the stored records."""

    name: str
    record_id: str
    """The id of the run, the thread, the job or the cron."""
    repaired: bool


class _Cycle:
    """Pages that are read a few at a time, again from the first when the last one was read or a read failed."""

    def __init__(self, all_pages: Callable[[], AsyncIterator[IdPage]]) -> None:
        self._all_pages = all_pages
        self._rest: AsyncIterator[IdPage] | None = None

    async def next_pages(self, count: int) -> AsyncIterator[IdPage]:
        """At most `count` pages, and none beyond the last one."""
        rest, self._rest = self._rest or self._all_pages(), None
        for _ in range(count):
            try:
                page = await anext(rest)
            except StopAsyncIteration:
                return
            yield page
        self._rest = rest


class Doctor:
    """Checks the records of one deployment. With `repair`, each problem is repaired in the script that detects it."""

    def __init__(self, pipeline: Pipeline, shards: Shards, *, lease_ms: int, repair: bool) -> None:
        self._reads, self._scripts = HealthReads(pipeline, shards), HealthScripts(pipeline, shards)
        self._crons = CronsOfDeletedThreads(pipeline, shards)
        self._thread_indexes = ThreadIndexCheck(pipeline, shards, repair=repair)
        self._pipeline, self._shards, self._lease_ms, self._repair = pipeline, shards, lease_ms, repair
        self._in_progress = _Cycle(self._reads.pages_in_progress)
        self._records = _Cycle(self._reads.pages_of_records)

    async def check_all(self, show: ShowProgress = show_nothing) -> list[Problem]:
        """Checks all records once. A repair that was interrupted continues where it was in the runs, crons,
        assistants and reviews. Raises `StoreUnavailable`."""
        found: list[Problem] = []
        for pages in (self._reads.pages_in_progress(), self._pages_of_threads(show)):
            async for page in pages:
                found += await self._check_page(page)
        for kind in INDEXED_KINDS:
            found += await self._check_kind(kind, show)
        reads = self._reads
        for pages in (reads.pages_of_index_entries(), reads.pages_of_groups(), reads.pages_of_namespaces()):
            async for page in pages:
                found += await self._check_page(page)
        return list({(problem.name, problem.record_id): problem for problem in found}.values())

    async def _pages_of_threads(self, show: ShowProgress) -> AsyncIterator[IdPage]:
        done, total = 0, await self._reads.number_of_threads()
        async for page in self._reads.pages_of_threads():
            yield page
            done = min(done + len(page.ids), total)
            show("threads", done, total)

    async def _check_kind(self, kind: str, show: ShowProgress) -> list[Problem]:
        found: list[Problem] = []
        check = ResumableCheck(self._pipeline, self._shards, kind, resumes=self._repair)
        total = await self._reads.number_of_keys()
        async for page in check.pages(partial(self._reads.page_of_kind, kind)):
            for ids in pages_of_ids(kind, page.found):
                found += await self._check_page(ids)
            show(f"keys searched for {kind}s", round(page.share_read * total), total)
        return found

    async def check_next_pages(self, pages: int, job_pages: int) -> list[Problem]:
        """Checks the next `pages` pages of threads, runs and crons, and the next `job_pages` of jobs and leases.
        Successive calls check all of them in two cycles, so the cost of a call does not depend on their number. Raises
        `StoreUnavailable`; then the next call starts the cycle again."""
        found: list[Problem] = []
        for cycle, count in ((self._in_progress, job_pages), (self._records, pages)):
            async for page in cycle.next_pages(count):
                found += await self._check_page(page)
        return found

    async def _check_page(self, page: IdPage) -> list[Problem]:
        if not page.ids:
            return []
        detected = await self._detect(page)
        for problem, record_id in detected:
            log.warning("doctor.problem_found", code=problem, record=record_id, repaired=self._repair)
        return [Problem(problem, record_id, self._repair) for problem, record_id in detected]

    async def check_thread_indexes(self, show: ShowProgress = show_nothing) -> list[Problem]:
        """Compares the indexes of threads with all threads. A repair that was interrupted continues where it was.
        Raises `StoreUnavailable`."""
        found: list[Problem] = []
        total = await self._reads.number_of_threads()
        async for page in self._thread_indexes.check_all():
            found += await self._found("thread_indexed_wrongly", page.wrong)
            show("indexes of threads", round(page.share_checked * total), total)
        async for stale in self._thread_indexes.check_sets():
            found += await self._found("thread_in_wrong_index", stale)
        return found

    async def _found(self, problem: str, record_ids: Sequence[str]) -> list[Problem]:
        if self._repair:
            await self._scripts.count_repairs(problem, len(record_ids))
        for record_id in record_ids:
            log.warning("doctor.problem_found", code=problem, record=record_id, repaired=self._repair)
        return [Problem(problem, record_id, self._repair) for record_id in record_ids]

    async def _detect(self, page: IdPage) -> Problems:
        if page.kind == "cron":
            return await self._check_crons(page.ids) + await self._check_indexes(page)
        if page.kind == "run":
            return await self._check_in_script(page) + await self._check_indexes(page)
        if page.kind == "namespace":
            return await self._counted(await self._indexes_of(page).namespaces(page.ids))
        if page.kind in ("assistant", "review") or page.kind.endswith(_ENTRY):
            return await self._check_indexes(page)
        return await self._check_in_script(page)

    async def _check_indexes(self, page: IdPage) -> Problems:
        kind = page.kind.removesuffix(_ENTRY)
        if kind == page.kind:
            problems = await self._indexes_of(page).records(kind, page.ids)
        else:
            problems = await self._indexes_of(page).entries(kind, page.container, page.ids)
        return await self._counted(problems)

    def _indexes_of(self, page: IdPage) -> IndexChecks:
        return IndexChecks(self._pipeline, page.keys, repair=self._repair)

    async def _counted(self, problems: Problems) -> Problems:
        if self._repair:
            for problem, count in Counter(problem for problem, _ in problems).items():
                await self._scripts.count_repairs(problem, count)
        return problems

    async def _check_in_script(self, page: IdPage) -> Problems:
        return await self._scripts.doctor(
            page.keys,
            page.kind,
            page.ids,
            container=page.container,
            parked=page.parked,
            repair=self._repair,
            lease_ms=self._lease_ms,
        )

    async def _check_crons(self, cron_ids: Sequence[str]) -> Problems:
        """Detects crons whose thread was deleted. This is not one script, because a cron and its thread are in
        different shards. The cron is read first: its thread existed before the cron, so a thread that does not exist
        when it is read afterwards was deleted."""
        crons = await self._crons.find(cron_ids)
        if self._repair:
            crons = [cron for cron in crons if await self._crons.delete(cron)]
            await self._scripts.count_repairs("cron_without_thread", len(crons))
        return [("cron_without_thread", cron.cron_id) for cron in crons]
