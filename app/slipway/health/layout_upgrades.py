"""The upgrades of the stored data from one layout to the next."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from slipway.health.index_checks import IndexChecks
from slipway.health.reads import HealthReads
from slipway.progress import ShowProgress
from slipway.redis.keys import Keys
from slipway.redis.layout import Upgrade
from slipway.redis.pipeline import Pipeline
from slipway.threads.index_check import ThreadIndexCheck


async def build_indexes(pipeline: Pipeline, keys: Keys, show: ShowProgress) -> None:
    """Layout 2 has indexes of threads, runs, assistants and crons. Processes of the release before may still end runs
    meanwhile, without changing the indexes, so the threads that have changed since the start, and the runs that had not
    ended, are checked once more at the end."""
    threads, done = ThreadIndexCheck(pipeline, keys, repair=True), 0
    total = await threads.number_of_threads()
    async for page in threads.check_all():
        done = min(done + page.checked, total)
        show("indexes of threads", done, total)
    reads, checks = HealthReads(pipeline, keys), IndexChecks(pipeline, keys, repair=True)
    await _index_records(reads, checks, show)
    async for _ in threads.check_changed():
        pass
    show("indexes of threads", total, total)
    async for run_page in reads.pages_of_unfinished_runs():
        await checks.records("run", run_page.ids)
        await checks.entries("run", run_page.container, run_page.ids)


async def _index_records(reads: HealthReads, checks: IndexChecks, show: ShowProgress) -> None:
    work = "indexes of runs, assistants and crons"
    done, total = 0, await reads.number_of_keys()
    async for page in reads.pages_of_indexed_records():
        if page.ids:
            await checks.records(page.kind, page.ids)
        done = min(done + len(page.ids), total)
        show(work, done, total)
    show(work, total, total)


UPGRADES: Final[Mapping[int, Upgrade]] = {1: build_indexes}
"""By the layout that an upgrade begins with."""
