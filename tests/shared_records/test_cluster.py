"""Shared records on a cluster, one of whose primaries is killed: its replica has the same records in the end."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest

from slipway.clock import Clock
from slipway.errors import StoreUnavailable
from slipway.redis.cluster_slots import slot_of
from slipway.redis.connect import pipeline_to
from slipway.redis.connection import Address
from slipway.redis.pipeline import Pipeline
from slipway.redis.shards import Shards
from slipway.redis.shared_records import SharedRecords
from slipway.runs.record import Phase
from slipway.switches.record import EVERYTHING, Kind, Target
from slipway.switches.scripts import SwitchScripts
from slipway.switches.store import SwitchStore
from tests.redis_cluster import Node, RedisCluster
from tests.shared_records.conftest import all_records
from tests.shared_records.sharded_runs import ShardedRuns
from tests.waiting import Eventually

GRAPH = Target(Kind.GRAPH, "steps")


@pytest.fixture
def cluster(redis_cluster: RedisCluster) -> Iterator[RedisCluster]:
    """The session's cluster, which is complete again after the test."""
    yield redis_cluster
    redis_cluster.complete()


@pytest.fixture
async def pipeline(cluster: RedisCluster) -> AsyncIterator[Pipeline]:
    """An open pipeline to the cluster, as workers have."""
    pipeline = pipeline_to(Address(cluster.url), "test", patience_s=30)
    await pipeline.open()
    try:
        yield pipeline
    finally:
        await pipeline.close()


def primary_of(cluster: RedisCluster, shards: Shards, number: int) -> Node:
    return cluster.primary_of(slot_of(shards.threads[number].shared_changes))


async def copied(pipeline: Pipeline, shards: Shards) -> bool:
    """Whether a round of the duty has reached all shards."""
    try:
        return not await SharedRecords(pipeline, shards).copy()
    except StoreUnavailable:
        return False


async def test_a_switch_reaches_the_shards_of_a_killed_primary_when_its_replica_has_replaced_it(
    pipeline: Pipeline, cluster: RedisCluster, shards: Shards, eventually: Eventually
) -> None:
    runs, switches = ShardedRuns.on(pipeline, shards), SwitchStore(SwitchScripts(pipeline, shards), Clock())
    created = await runs.create_in_all()
    first = primary_of(cluster, shards, 0)
    others = [number for number in range(8) if primary_of(cluster, shards, number) is not first]
    killed = primary_of(cluster, shards, others[0])
    lost = [number for number in others if primary_of(cluster, shards, number) is killed]
    with cluster.suspended(killed):
        result = await switches.switch_off(GRAPH, by="eve", reason="too many")
        assert set(result.pending_shards) <= set(lost)
    cluster.kill(killed)
    await eventually(lambda: copied(pipeline, shards))
    assert set((await all_records(pipeline, shards))["switches"]) == {b"graph:steps"}
    assert await runs.claim() == []
    assert set(await runs.phases(created)) == {Phase.PAUSED}


async def test_all_shards_agree_after_the_primary_of_the_first_shard_was_killed(
    pipeline: Pipeline, cluster: RedisCluster, shards: Shards, eventually: Eventually
) -> None:
    """Its replica may lack the last changes; whatever it has, all shards have in the end."""
    switches = SwitchStore(SwitchScripts(pipeline, shards), Clock())
    await switches.switch_off(GRAPH, by="eve", reason=None)
    for _ in range(20):
        await switches.switch_off(EVERYTHING, by="eve", reason=None)
        await switches.switch_on(EVERYTHING, by="bo")
    await switches.switch_off(EVERYTHING, by="eve", reason=None)
    cluster.kill(primary_of(cluster, shards, 0))
    await eventually(lambda: copied(pipeline, shards))
    await switches.switch_on(GRAPH, by="bo")
    await eventually(lambda: copied(pipeline, shards))
    assert b"graph:steps" not in (await all_records(pipeline, shards))["switches"]
