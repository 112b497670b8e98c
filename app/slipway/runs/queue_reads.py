"""The read stubs of the queue: leases, jobs, and the runs that wait."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Final

from slipway.redis.read_stubs import ReadStubs

_PAGE: Final = 200


class QueueReads(ReadStubs):
    """Pages of run ids; one round trip for each page."""

    async def in_progress(self) -> AsyncIterator[list[str]]:
        """The runs that have a lease or a job that is not parked."""
        for key in (self._keys.leases, self._keys.queue, self._keys.suspect_queue, self._keys.later_queue):
            async for run_ids in self._pages(key):
                yield run_ids

    async def parked(self, group: str) -> AsyncIterator[list[str]]:
        """The runs whose jobs wait for a slot of the concurrency group."""
        async for run_ids in self._pages(self._keys.parked_queue(group)):
            yield run_ids

    async def of_thread(self, thread_id: str) -> AsyncIterator[list[str]]:
        """The queued runs of a thread, oldest first."""
        async for run_ids in self._pages(self._keys.thread_queue(thread_id)):
            yield run_ids

    async def next_lease_end_in_s(self) -> float:
        """Seconds until the first lease expires, on the clock of Redis. Negative if it has expired, infinite if no run
        has a lease. One round trip."""
        first = self._pipeline.send("ZRANGE", self._keys.leases, 0, 0, "WITHSCORES", repeatable=True)
        seconds, microseconds = await self._pipeline.send("TIME", repeatable=True)
        if not (lease := await first):
            return float("inf")
        return float(lease[1]) / 1000 - int(seconds) - int(microseconds) / 1_000_000

    async def _pages(self, key: str) -> AsyncIterator[list[str]]:
        start = 0
        while members := await self._ids(key, start, start + _PAGE - 1):
            yield [member.rpartition(":")[0] or member for member in members]  # a job is <run>:<attempt>
            start += _PAGE
