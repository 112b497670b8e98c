"""Lists every unfinished run of the deployment: each that is pending or running. It reads the leases and the queues
first, so its cost depends on the number of unfinished runs and not on the number of threads."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable

import orjson

from slipway.redis.keys import Keys
from slipway.redis.pipeline import Pipeline
from slipway.runs.queue_reads import QueueReads
from slipway.runs.reads import RunReads
from slipway.runs.record import Run, run_from


class UnfinishedRuns:
    """Reads leases, queues, and the thread queues of the runs that these contain. A run that starts or ends during the
    read may be listed or not."""

    def __init__(self, pipeline: Pipeline, keys: Keys) -> None:
        self._reads, self._queue = RunReads(pipeline, keys), QueueReads(pipeline, keys)

    def list_all(self) -> AsyncIterator[Run]:
        """Yields each run once."""
        return _Listing(self._reads, self._queue).runs()


class _Listing:
    """One listing of all unfinished runs: the runs that were visited, and the concurrency groups whose parked runs are
    still to be read."""

    def __init__(self, reads: RunReads, queue: QueueReads) -> None:
        self._reads, self._queue = reads, queue
        self._visited: set[str] = set()
        self._groups: set[str] = set()

    async def runs(self) -> AsyncIterator[Run]:
        async for run in self._with_queued(self._queue.in_progress()):
            yield run
        while self._groups:  # jobs are parked only behind running runs of their group
            groups, self._groups = self._groups, set()
            for group in groups:
                async for run in self._with_queued(self._queue.parked(group)):
                    yield run

    async def _with_queued(self, pages: AsyncIterator[list[str]]) -> AsyncIterator[Run]:
        """The unfinished runs of these pages, each followed by the queued runs of its thread."""
        async for run_ids in pages:
            async for run in self._still_unfinished(run_ids):
                yield run
                async for queued_ids in self._queue.of_thread(run.thread_id):
                    async for queued in self._still_unfinished(queued_ids):
                        yield queued

    async def _still_unfinished(self, run_ids: Iterable[str]) -> AsyncIterator[Run]:
        """The runs that were not visited before and have not ended."""
        new = [run_id for run_id in run_ids if run_id not in self._visited]
        self._visited.update(new)
        for fields in await self._reads.records(new):
            if "phase" not in fields:
                continue
            self._groups.update(name for name, _ in orjson.loads(fields.get("groups", b"[]")))
            run = run_from(fields)
            if run.status in ("pending", "running"):
                yield run
