"""The read stubs of the queue: the runs of busy threads, and the leases."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Final

from slipway.redis.read_stubs import ReadStubs

_PAGE: Final = 500
"""Threads of which two fields are read in one round trip. Most threads are idle."""


class QueueReads(ReadStubs):
    """Reads what executes and what waits."""

    async def of_busy_threads(self) -> AsyncIterator[list[str]]:
        """Pages of the active and the queued runs of all busy threads; three round trips for a page of threads."""
        async for thread_ids in self._members("ZSCAN", self._keys.threads, _PAGE):
            reads = [
                self._pipeline.send("HMGET", self._keys.thread(each), "status", "active_run_id", repeatable=True)
                for each in thread_ids
            ]
            replies = zip(thread_ids, [await read for read in reads], strict=True)
            busy = {thread_id: active for thread_id, (status, active) in replies if status == b"busy"}
            queues = [
                self._pipeline.send("ZRANGE", self._keys.thread_queue(thread_id), 0, -1, repeatable=True)
                for thread_id in busy
            ]
            run_ids = [active for active in busy.values() if active is not None]
            for queue in queues:
                run_ids += await queue
            yield [run_id.decode() for run_id in run_ids]

    async def next_lease_end_in_s(self) -> float:
        """Seconds until the first lease expires, on the clock of Redis. Negative if it has expired, infinite if no run
        has a lease. One round trip."""
        first = self._pipeline.send("ZRANGE", self._keys.leases, 0, 0, "WITHSCORES", repeatable=True)
        seconds, microseconds = await self._pipeline.send("TIME", repeatable=True)
        if not (lease := await first):
            return float("inf")
        return float(lease[1]) / 1000 - int(seconds) - int(microseconds) / 1_000_000
