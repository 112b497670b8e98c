"""Every run that is pending or running, in the whole deployment: found from what is in progress, so that it costs as
much as there is work and not as much as there are threads."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable

import orjson

from slipway.redis.keys import Keys
from slipway.redis.pipeline import Pipeline
from slipway.runs.queue_reads import QueueReads
from slipway.runs.reads import RunReads
from slipway.runs.record import Run, run_from


class InFlight:
    """Reads leases, queues, and the queues of the threads these lead to. What begins or ends meanwhile may be missed
    or shown."""

    def __init__(self, pipeline: Pipeline, keys: Keys) -> None:
        self._reads, self._queue = RunReads(pipeline, keys), QueueReads(pipeline, keys)

    async def runs(self) -> AsyncIterator[Run]:
        """All, each once."""
        seen: set[str] = set()
        groups: set[str] = set()
        async for run in self._with_queued(self._queue.in_progress(), seen, groups):
            yield run
        while groups:  # jobs are parked only behind running runs of their group
            parked, groups = groups, set()
            for group in parked:
                async for run in self._with_queued(self._queue.parked(group), seen, groups):
                    yield run

    async def _with_queued(
        self, pages: AsyncIterator[list[str]], seen: set[str], groups: set[str]
    ) -> AsyncIterator[Run]:
        """The runs of these pages that have not ended, each followed by the runs that wait for it on its thread."""
        async for run_ids in pages:
            async for run in self._alive(run_ids, seen, groups):
                yield run
                async for queued in self._queue.of_thread(run.thread_id):
                    async for waiting in self._alive(queued, seen, groups):
                        yield waiting

    async def _alive(self, ids: Iterable[str], seen: set[str], groups: set[str]) -> AsyncIterator[Run]:
        new = [run_id for run_id in ids if run_id not in seen]
        seen.update(new)
        for fields in await self._reads.records(new):
            if "phase" not in fields:
                continue
            groups.update(name for name, _ in orjson.loads(fields.get("groups", b"[]")))
            run = run_from(fields)
            if run.status in ("pending", "running"):
                yield run
