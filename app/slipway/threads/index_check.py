"""Compares the indexes of threads with the records of threads, and builds them again.

Terms are computed in this process, from a record that was read before. The script that stores them skips a thread that
has changed in between; such a thread is read again.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final

from slipway.indexes.resumable_check import ResumableCheck
from slipway.redis.key_scan import IdsInShard, KeyScan, ScannedPage
from slipway.redis.per_shard import PerShard
from slipway.redis.pipeline import Pipeline
from slipway.redis.scan_cursors import next_cursor, split_cursor
from slipway.redis.shards import Shards
from slipway.threads.index_reads import ThreadIndexReads
from slipway.threads.reads import ThreadReads
from slipway.threads.record import indexed_thread
from slipway.threads.scripts import ThreadShardScripts

_RECORDS: Final = 25
"""How many records are read at a time. Each may be as large as a state."""

_TRIES: Final = 20
"""How often a thread is read again that changes in between. A busy thread changes when its run starts and ends."""


@dataclass(frozen=True, slots=True)
class CheckedPage:
    """Those threads of a page that the indexes did not show as their records are. `share_checked` is how much of all
    threads has been checked, from 0 to 1."""

    wrong: list[str]
    share_checked: float


class ThreadIndexCheck:
    """The indexes of threads. With `repair`, what is wrong is indexed again."""

    def __init__(self, pipeline: Pipeline, shards: Shards, *, repair: bool) -> None:
        self._shards, self._records, self._repair = shards, ThreadReads(pipeline, shards.records), repair
        self._reads = PerShard(shards, partial(ThreadIndexReads, pipeline))
        self._scripts = PerShard(shards, partial(ThreadShardScripts, pipeline))
        self._scan = KeyScan(pipeline, shards)
        self._all = ResumableCheck(pipeline, shards, "thread", resumes=repair)

    async def check_all(self) -> AsyncGenerator[CheckedPage, None]:
        """Checks all threads. A repair that was interrupted continues where it was, for an hour."""
        async for page in self._all.pages(self._page_of_ids):
            for found in page.found:
                yield CheckedPage(await self.check(found.ids), page.share_read)
        for reads in self._reads:
            async for ids in reads.ids_missing_in_updates():
                yield CheckedPage(await self.check(ids), 1.0)

    async def _page_of_ids(self, cursor: str) -> ScannedPage:
        number, position = split_cursor(cursor)
        ids, following = await self._reads[number].page_of_ids(position)
        found = [IdsInShard(self._shards.threads[number], ids)]
        return ScannedPage(found, next_cursor(number, len(self._reads), following))

    async def check_changed(self) -> AsyncIterator[CheckedPage]:
        """Checks the threads that have changed since `check_all` began, before all its interruptions."""
        for reads in self._reads:
            async for ids in reads.changed_since(self._all.started_us):
                yield CheckedPage(await self.check(ids), 1.0)

    async def check_sets(self) -> AsyncIterator[list[str]]:
        """Checks the sets of terms and statuses. Yields the threads that a set named although they do not exist, or do
        not have the term."""
        numbers = {keys: number for number, keys in enumerate(self._shards.threads)}
        async for page in self._scan.all("threads_with", "zset"):
            for found in page.found:
                number = numbers[found.keys]
                for name in found.ids:
                    async for ids in self._reads[number].members_of_set(name):
                        yield await self._scripts[number].check_index_set(name, ids, repair=self._repair)

    async def check(self, thread_ids: Sequence[str]) -> list[str]:
        """The threads that the indexes do not show as their records are."""
        by_shard: dict[int, list[str]] = {}
        for thread_id in thread_ids:
            by_shard.setdefault(self._shards.number_of_thread(thread_id), []).append(thread_id)
        return [each for number, ids in by_shard.items() for each in await self._check(self._scripts[number], ids)]

    async def _check(self, scripts: ThreadShardScripts, thread_ids: Sequence[str]) -> list[str]:
        wrong: list[str] = []
        for first in range(0, len(thread_ids), _RECORDS):
            waiting: Sequence[str] = thread_ids[first : first + _RECORDS]
            for _ in range(_TRIES):
                records = await self._records.records(waiting)
                threads = [indexed_thread(name, fields) for name, fields in zip(waiting, records, strict=True)]
                result = await scripts.check_indexes(threads, repair=self._repair)
                wrong += result.wrong
                waiting = result.changed
                if not waiting:
                    break
        return wrong
