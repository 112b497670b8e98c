"""Lists every unfinished run of the deployment: each that is pending or running.

A run that has not ended keeps its thread busy, so only the runs of busy threads are read. Leases and jobs would not be
enough: a paused run has neither.
"""

from __future__ import annotations

from collections.abc import AsyncIterator

from slipway.redis.keys import Keys
from slipway.redis.pipeline import Pipeline
from slipway.runs.queue_reads import QueueReads
from slipway.runs.reads import RunReads
from slipway.runs.record import Run, run_from


class UnfinishedRuns:
    """Reads two fields of each thread, and the queues of busy threads. A run that starts or ends during the read may be
    listed or not."""

    def __init__(self, pipeline: Pipeline, keys: Keys) -> None:
        self._reads, self._queue = RunReads(pipeline, keys), QueueReads(pipeline, keys)

    async def list_all(self) -> AsyncIterator[Run]:
        """Yields each run once."""
        listed: set[str] = set()
        async for run_ids in self._queue.of_busy_threads():
            new = [run_id for run_id in dict.fromkeys(run_ids) if run_id not in listed]
            listed.update(new)
            for fields in await self._reads.records(new):
                if fields is not None and (run := run_from(fields)).status in ("pending", "running"):
                    yield run
