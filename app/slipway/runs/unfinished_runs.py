"""Lists the unfinished runs of the deployment: each that is pending or running."""

from __future__ import annotations

from collections.abc import AsyncIterator
from functools import partial

from slipway.redis.per_shard import PerShard
from slipway.redis.pipeline import Pipeline
from slipway.redis.shard_pages import pages_of_all
from slipway.redis.shards import Shards
from slipway.runs.index_reads import RunIndexReads
from slipway.runs.index_terms import UNFINISHED, assistant_term
from slipway.runs.reads import RunReads
from slipway.runs.record import Run, run_from


class UnfinishedRuns:
    """Reads the index of unfinished runs: two round trips for a page of each shard. A run that is created or ends
    during the read may be listed or not, so a caller may cancel runs while it reads."""

    def __init__(self, pipeline: Pipeline, shards: Shards) -> None:
        self._reads, self._indexes = (
            RunReads(pipeline, shards.records),
            PerShard(shards, partial(RunIndexReads, pipeline)),
        )

    async def list_all(self) -> AsyncIterator[Run]:
        """Yields each run once."""
        async for run in self._in_sets(UNFINISHED):
            yield run

    async def of_assistant(self, assistant_id: str) -> AsyncIterator[Run]:
        """Yields each run of one assistant once. Reads the shorter of two sets: the runs of the assistant, and the
        unfinished runs."""
        async for run in self._in_sets(UNFINISHED, assistant_term(assistant_id)):
            yield run

    async def _in_sets(self, *names: str) -> AsyncIterator[Run]:
        listed: set[str] = set()
        async for run_ids in pages_of_all(index.in_all_sets(names) for index in self._indexes):
            new = [run_id for run_id in dict.fromkeys(run_ids) if run_id not in listed]
            listed.update(new)
            for fields in await self._reads.records(new):
                if fields is not None and (run := run_from(fields)).status in ("pending", "running"):
                    yield run
