"""Runs in every shard: created, claimed and settled as web processes and workers do."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from slipway.checkpoints.core_checkpointer import CoreCheckpointer
from slipway.checkpoints.trash import Trash
from slipway.redis.per_shard import PerShard
from slipway.redis.pipeline import Pipeline
from slipway.redis.shards import Shards
from slipway.rollouts.record import Ramp
from slipway.runs.admission import Admission
from slipway.runs.attempt_writer import AttemptWriter
from slipway.runs.creation import RunCreator
from slipway.runs.queue_scripts import QueueScripts
from slipway.runs.record import Phase, Run, new_id, run_from
from slipway.runs.scripts import RunScripts
from slipway.runs.store import RunStore
from slipway.threads.scripts import ThreadScripts
from tests.runs.conftest import LEASE_MS, TTL_S, new_run, settlement


@dataclass(frozen=True, slots=True)
class ShardedRuns:
    """Creates and executes runs in shards."""

    pipeline: Pipeline
    shards: Shards
    scripts: RunScripts
    queues: PerShard[QueueScripts]
    creator: RunCreator
    runs: RunStore

    @classmethod
    def on(cls, pipeline: Pipeline, shards: Shards) -> ShardedRuns:
        """On this pipeline."""
        scripts, queues = RunScripts(pipeline, shards), PerShard(shards, partial(QueueScripts, pipeline))
        trash = Trash(pipeline, shards, CoreCheckpointer(pipeline, shards))
        creator = RunCreator(
            pipeline,
            shards,
            scripts,
            trash,
            admission=Admission(pipeline, queues, 0.85),
            event_ttl_s=TTL_S,
            lease_ms=LEASE_MS,
        )
        runs = RunStore(pipeline, shards.records, scripts, event_ttl_s=TTL_S)
        return cls(pipeline, shards, scripts, queues, creator, runs)

    async def create(self, number: int, **fields: Any) -> Run:
        """A run on a new thread in the shard of this number."""
        thread_id = next(each for each in iter(new_id, "") if self.shards.number_of_thread(each) == number)
        await ThreadScripts(self.pipeline, self.shards).create(thread_id, {}, new_id())
        return (await self.creator.create(new_run(thread_id, **fields))).run

    async def create_in_all(self, **fields: Any) -> list[Run]:
        """A run in each shard, in the order of the shards."""
        return [await self.create(number, **fields) for number in range(self.shards.count)]

    async def claim(self, **serves: Any) -> list[Run]:
        """Claims what is due in each shard."""
        claimed = [await queue.run_claim("w", 100, LEASE_MS, **serves) for queue in self.queues]
        return [run_from(fields) for result in claimed for fields in result.runs]

    async def settle(self, run: Run, phase: Phase = Phase.COMPLETED, ramp: Ramp | None = None) -> None:
        """Ends a claimed run, whose process knows this ramp of its graph."""
        await AttemptWriter(self.scripts, run).settle(replace(settlement(run, phase), ramp=ramp))

    async def phases(self, runs: list[Run]) -> list[Phase]:
        """Their stored phases."""
        return [(await self.runs.find(run.run_id)).phase for run in runs]
