"""What is read of each server of a real cluster, and what a deployment needs for one."""

from __future__ import annotations

import pytest

from slipway.checkpoints import requirements
from slipway.errors import ConfigError
from slipway.health.server_info import read_info, read_parameter, read_server_info
from slipway.redis.cluster_requirements import check_shards
from slipway.redis.connection import Address
from slipway.redis.key_count import number_of_keys
from slipway.redis.layout import LayoutRecord
from slipway.redis.pipeline import Pipeline
from slipway.redis.shards import Shards
from slipway.settings import Settings
from tests.redis_cluster import RedisCluster
from tests.waiting import wait_until


async def test_the_state_of_a_cluster_is_that_of_its_worst_server(to_cluster: Pipeline, cluster: RedisCluster) -> None:
    healthy = await read_server_info(to_cluster)
    assert (healthy.eviction, healthy.replica, healthy.replicas) == ("noeviction", False, 1)
    full, evicting, _ = cluster.primaries
    full.call("CONFIG", "SET", "maxmemory", 1 << 30)
    evicting.call("CONFIG", "SET", "maxmemory-policy", "volatile-lru")
    try:
        worst = await read_server_info(to_cluster)
        assert (worst.max_bytes, worst.eviction) == (1 << 30, "volatile-lru")
        assert {finding.code for finding in worst.findings()} >= {"redis.evicts"}
    finally:
        full.call("CONFIG", "SET", "maxmemory", 0)
        evicting.call("CONFIG", "SET", "maxmemory-policy", "noeviction")
    assert (await read_info(to_cluster))["cluster_enabled"] == "1"
    assert await read_parameter(to_cluster, "cluster-enabled") == "yes"


async def test_the_keys_of_all_servers_are_counted(to_cluster: Pipeline, sharded: Shards) -> None:
    before = await number_of_keys(to_cluster)
    for keys in sharded.every:
        await to_cluster.send("SET", f"{keys.prefix}:x", 1)
    await wait_until(lambda: len(to_cluster.servers) == 3)
    assert await number_of_keys(to_cluster) == before + len(sharded.every)


async def test_the_layout_record_is_stored_in_a_cluster(to_cluster: Pipeline, sharded: Shards) -> None:
    record = LayoutRecord(to_cluster, sharded)
    await record.check_or_upgrade()
    assert (await record.read()).shards == 8
    with pytest.raises(ConfigError, match="SLIPWAY_SHARDS=8"):
        await LayoutRecord(to_cluster, Shards(sharded.prefix, 16)).check()


def test_a_cluster_needs_several_shards(cluster: RedisCluster, sharded: Shards) -> None:
    check_shards(Address(cluster.url), sharded)
    check_shards(Address("redis://127.0.0.1:1"), Shards("one"))
    with pytest.raises(ConfigError, match="cannot divide the one shard of this deployment: set SLIPWAY_SHARDS"):
        check_shards(Address(cluster.url), Shards("one"))


async def test_the_checkpointer_of_the_package_needs_one_server(cluster: RedisCluster) -> None:
    settings = Settings.load({"SLIPWAY_REDIS_URL": cluster.url, "SLIPWAY_CHECKPOINTER": "langgraph-redis"})
    with pytest.raises(ConfigError, match="SLIPWAY_CHECKPOINTER=langgraph-redis cannot use a cluster"):
        await requirements.check(settings, settings.redis)
