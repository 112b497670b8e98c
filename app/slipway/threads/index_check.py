"""Compares the indexes of threads with the records of threads, and builds them again.

Terms are computed in this process, from a record that was read before. The script that stores them skips a thread that
has changed in between; such a thread is read again.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Final

from slipway.indexes.resumable_check import ResumableCheck
from slipway.redis.keys import Keys
from slipway.redis.pipeline import Pipeline
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

    def __init__(self, pipeline: Pipeline, keys: Keys, *, repair: bool) -> None:
        self._reads, self._scripts = ThreadReads(pipeline, keys), ThreadShardScripts(pipeline, keys)
        self._repair = repair
        self._all = ResumableCheck(pipeline, keys, "thread", resumes=repair)

    async def check_all(self) -> AsyncGenerator[CheckedPage, None]:
        """Checks all threads. A repair that was interrupted continues where it was, for an hour."""
        async for page in self._all.pages(self._reads.page_of_ids):
            yield CheckedPage(await self.check(page.ids), page.share_read)
        async for ids in self._reads.ids_missing_in_updates():
            yield CheckedPage(await self.check(ids), 1.0)

    async def check_changed(self) -> AsyncIterator[CheckedPage]:
        """Checks the threads that have changed since `check_all` began, before all its interruptions."""
        async for ids in self._reads.changed_since(self._all.started_us):
            yield CheckedPage(await self.check(ids), 1.0)

    async def check_sets(self) -> AsyncIterator[list[str]]:
        """Checks the sets of terms and statuses. Yields the threads that a set named although they do not exist, or do
        not have the term."""
        async for name, ids in self._reads.members_of_sets():
            yield await self._scripts.check_index_set(name, ids, repair=self._repair)

    async def check(self, thread_ids: Sequence[str]) -> list[str]:
        """The threads that the indexes do not show as their records are."""
        wrong: list[str] = []
        for first in range(0, len(thread_ids), _RECORDS):
            waiting: Sequence[str] = thread_ids[first : first + _RECORDS]
            for _ in range(_TRIES):
                records = await self._reads.records(waiting)
                threads = [indexed_thread(name, fields) for name, fields in zip(waiting, records, strict=True)]
                result = await self._scripts.check_indexes(threads, repair=self._repair)
                wrong += result.wrong
                waiting = result.changed
                if not waiting:
                    break
        return wrong
