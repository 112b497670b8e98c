"""Runs on a real cluster with several shards, whose slots move while runs are created, claimed, written and settled."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator
from functools import partial

import pytest

from slipway.checkpoints.core_checkpointer import CoreCheckpointer
from slipway.checkpoints.trash import Trash
from slipway.redis.cluster_slots import slot_of
from slipway.redis.connect import pipeline_to, subscriber_to
from slipway.redis.connection import Address
from slipway.redis.per_shard import PerShard
from slipway.redis.pipeline import Pipeline
from slipway.redis.shards import Shards
from slipway.redis.subscriber import Subscriber
from slipway.runs.admission import Admission
from slipway.runs.attempt_writer import AttemptWriter
from slipway.runs.creation import RunCreator
from slipway.runs.event_log import EventLog
from slipway.runs.queue_scripts import QueueScripts
from slipway.runs.record import Phase, Run, new_id, run_from
from slipway.runs.script_results import Settled
from slipway.runs.scripts import LogScripts, RunScripts
from slipway.runs.store import RunStore
from tests.checkpoints.conftest import config_of, listed_ids, put
from tests.redis_cluster import RedisCluster
from tests.runs.conftest import LEASE_MS, TTL_S, new_run, settlement
from tests.shards import beside, run_on

RUNS = 60
EVENTS = 10


class Process:
    """What web processes and workers do with runs, on one pipeline and one subscriber."""

    def __init__(self, pipeline: Pipeline, subscriber: Subscriber, shards: Shards) -> None:
        keys = shards.records
        self.pipeline = pipeline
        self.scripts = RunScripts(pipeline, shards)
        self.queues = PerShard(shards, partial(QueueScripts, pipeline))
        self.runs = RunStore(pipeline, keys, self.scripts, event_ttl_s=TTL_S)
        self.events = EventLog(pipeline, keys, subscriber)
        self._creator = RunCreator(
            pipeline,
            shards,
            self.scripts,
            Trash(pipeline, shards, CoreCheckpointer(pipeline, shards)),
            admission=Admission(pipeline, self.queues, 0.85),
            event_ttl_s=TTL_S,
            lease_ms=LEASE_MS,
        )

    async def create(self) -> Run:
        """Creates a run on a thread of its own."""
        return (await self._creator.create(new_run(new_id(), create_thread=True))).run

    async def work(self, count: int) -> int:
        """Claims and executes runs until `count` are settled. Returns how many attempts were executed."""
        attempts = settled = 0
        while settled < count:
            for queue in self.queues:
                claimed = await queue.run_claim("w", 10, LEASE_MS)
                runs = [run_from(fields) for fields in claimed.runs]
                attempts += len(runs)
                results = await asyncio.gather(*map(self._execute, runs))
                settled += sum(results)
        return attempts

    async def _execute(self, run: Run) -> bool:
        attempt = AttemptWriter(self.scripts, run)
        for number in range(EVENTS):
            attempt.append("values", b"event: values\r\ndata: %d\r\n\r\n" % number)
            await attempt.flush()
        return isinstance(await attempt.settle(settlement(run)), Settled)


@pytest.fixture
async def process(redis_cluster: RedisCluster) -> AsyncIterator[Process]:
    pipeline = pipeline_to(Address(redis_cluster.url), "test", patience_s=15)
    await pipeline.open()
    subscriber = subscriber_to(Address(redis_cluster.url), "test subscriber", pipeline)
    await subscriber.open()
    try:
        yield Process(pipeline, subscriber, Shards(f"test-{uuid.uuid4().hex[:12]}", 8))
    finally:
        await subscriber.close()
        await pipeline.close()
        redis_cluster.complete()


async def move_slots_until(done: asyncio.Task[int], cluster: RedisCluster, shards: Shards) -> int:
    """Moves the slots of all shards again and again, key by key, at once, and by a failover. Returns how many moved."""
    moves = 0
    while not done.done() or moves < 2 * shards.count:
        slot = slot_of(shards.threads[moves % shards.count].prefix)
        if moves % 7 == 6:
            await asyncio.to_thread(cluster.fail_over, slot)
        else:
            move = cluster.move_slot if moves % 2 else cluster.move_slot_at_once
            await asyncio.to_thread(move, slot, cluster.other_primary(cluster.primary_of(slot)))
        moves += 1
    return moves


async def test_runs_are_executed_once_while_all_slots_move(process: Process, redis_cluster: RedisCluster) -> None:
    working = asyncio.create_task(process.work(RUNS))
    moving = asyncio.create_task(move_slots_until(working, redis_cluster, process.queues.shards))
    created = [await process.create() for _ in range(RUNS)]
    assert await working == RUNS
    assert await moving >= 16
    for run in created:
        stored = await process.runs.find(run.run_id)
        assert (stored.phase, stored.attempt) == (Phase.COMPLETED, 1)
        log = await process.events.read(run.run_id, count=1000)
        numbers = [int(event.data) for event in log if event.name == "values"]
        assert numbers == list(range(EVENTS))


async def test_one_look_at_the_logs_of_all_shards_finds_what_is_behind(process: Process) -> None:
    runs = [await process.create() for _ in range(20)]
    ends = {run.run_id: (await process.events.read(run.run_id, count=1000))[-1].position for run in runs}
    logs = LogScripts(process.pipeline, process.queues.shards.records)
    assert await logs.behind(ends) == []
    assert set(await logs.behind(dict.fromkeys(ends, (0, 0)))) == ends.keys()


async def test_checkpoints_of_runs_are_deleted_and_threads_are_copied_pruned_and_deleted(process: Process) -> None:
    saver, copy = CoreCheckpointer(process.pipeline, process.queues.shards), beside("t")
    first = await put(saver, "t", {"a": 1}, run="r1")
    second = await put(saver, "t", {"a": 2}, parent=first, run="r2")
    await saver.acopy_thread("t", copy)
    assert await listed_ids(saver, config_of(copy)) == [second, first]
    await saver.aprune([copy])
    assert await listed_ids(saver, config_of(copy)) == [second]
    await saver.adelete_for_runs([run_on("t", "r2")])
    assert await listed_ids(saver, config_of("t")) == [first]
    assert await listed_ids(saver, config_of(copy)) == []
    await saver.adelete_thread("t")
    assert await listed_ids(saver, config_of("t")) == []
