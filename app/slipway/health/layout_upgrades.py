"""The upgrades of the stored data from one layout to the next."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Final

from slipway.health.index_checks import IndexChecks
from slipway.health.reads import INDEXED_KINDS, HealthReads, pages_of_ids
from slipway.indexes.resumable_check import ResumableCheck
from slipway.progress import ShowProgress
from slipway.redis.layout import Upgrade
from slipway.redis.pipeline import Pipeline
from slipway.redis.shards import Shards
from slipway.threads.index_check import ThreadIndexCheck


async def build_indexes(pipeline: Pipeline, shards: Shards, show: ShowProgress) -> None:
    """Layout 2 has indexes of threads, runs, assistants, crons and namespaces. Processes of the release before may
    still end runs meanwhile, without changing the indexes, so the threads that have changed since the start, and the
    runs that had not ended, are checked once more at the end. What they put into the store is repaired by the
    reconciler."""
    threads, reads = ThreadIndexCheck(pipeline, shards, repair=True), HealthReads(pipeline, shards)
    checks = IndexChecks(pipeline, shards.only, repair=True)  # only releases with one shard have stored layout 1
    total = await reads.number_of_threads()
    async for page in threads.check_all():
        show("indexes of threads", round(page.share_checked * total), total)
    for kind in INDEXED_KINDS:
        # it begins again after an interruption: processes of the release before may have created runs meanwhile
        check = ResumableCheck(pipeline, shards, kind, resumes=False)
        number_of_keys = await reads.number_of_keys()
        async for checked in check.pages(partial(reads.page_of_kind, kind)):
            for records in pages_of_ids(kind, checked.found):
                await checks.records(kind, records.ids)
            show(f"keys searched for {kind}s", round(checked.share_read * number_of_keys), number_of_keys)
    async for names in reads.pages_of_namespaces():
        await checks.namespaces(names.ids)
    async for _ in threads.check_changed():
        pass
    async for run_page in reads.pages_of_unfinished_runs():
        await checks.records("run", run_page.ids)
        await checks.entries("run", run_page.container, run_page.ids)


UPGRADES: Final[Mapping[int, Upgrade]] = {1: build_indexes}
"""By the layout that an upgrade begins with."""
