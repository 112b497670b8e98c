"""The fields that a Redis server reports about itself, and the findings derived from them."""

from __future__ import annotations

import pytest

from slipway.health.findings import Level
from slipway.health.server_info import ServerInfo, read_server_info, server_info_from
from slipway.redis.connection import Address
from slipway.redis.server_pipeline import ServerPipeline
from tests.crash.cluster import Cluster

HEALTHY = {
    "redis_version": "7.2.4",
    "loading": "0",
    "aof_enabled": "1",
    "aof_last_write_status": "ok",
    "aof_last_bgrewrite_status": "ok",
    "rdb_last_bgsave_status": "ok",
    "maxmemory_policy": "noeviction",
    "used_memory": "900",
    "maxmemory": "1000",
    "role": "master",
    "connected_slaves": "0",
}


def levels_by_code(info: ServerInfo) -> dict[str, Level]:
    return {finding.code: finding.level for finding in info.findings()}


def test_a_healthy_server_has_no_findings() -> None:
    info = server_info_from(HEALTHY, {})
    assert info.findings() == []
    assert info.memory_ratio == 0.9


@pytest.mark.parametrize(
    ("changed", "config", "code", "level"),
    [
        ({"redis_version": "6.0.16"}, {}, "redis.version", Level.ERROR),
        ({"loading": "1"}, {}, "redis.loading", Level.ERROR),
        ({"maxmemory_policy": "allkeys-lru"}, {}, "redis.evicts", Level.ERROR),
        ({"maxmemory_policy": "volatile-ttl"}, {}, "redis.evicts", Level.ERROR),
        ({"aof_last_write_status": "err"}, {}, "redis.append_failed", Level.ERROR),
        ({"aof_last_bgrewrite_status": "err"}, {}, "redis.rewrite_failed", Level.WARNING),
        ({"aof_enabled": "0", "rdb_last_bgsave_status": "err"}, {}, "redis.snapshot_failed", Level.ERROR),
        ({"aof_enabled": "0"}, {"save": "3600 1"}, "redis.snapshots_only", Level.WARNING),
        ({"aof_enabled": "0"}, {"save": ""}, "redis.volatile", Level.WARNING),
        ({"role": "slave", "master_link_status": "down"}, {}, "redis.replica", Level.ERROR),
        (
            {
                "connected_slaves": "2",
                "master_repl_offset": "50",
                "slave0": "lag=0,offset=50",
                "slave1": "lag=60,offset=7",
            },
            {},
            "redis.replica_behind",
            Level.WARNING,
        ),
    ],
)
def test_every_fault_of_a_server_has_a_finding(
    changed: dict[str, str], config: dict[str, str], code: str, level: Level
) -> None:
    assert levels_by_code(server_info_from(HEALTHY | changed, config)) == {code: level}


def test_the_lag_is_that_of_the_slowest_replica() -> None:
    replicas = {"slave0": "ip=a,lag=1,offset=40", "slave1": "ip=b,lag=3,offset=49"}
    info = server_info_from(HEALTHY | {"connected_slaves": "2", "master_repl_offset": "50"} | replicas, {})
    assert (info.replicas, info.lag_s, info.lag_bytes) == (2, 3, 1)


def test_a_missing_field_is_unknown_and_no_finding() -> None:
    assert server_info_from({}, {}) == ServerInfo()
    assert ServerInfo().findings() == []
    assert ServerInfo().memory_ratio is None


def test_memory_that_eviction_does_not_count_is_ignored() -> None:
    assert server_info_from(HEALTHY | {"mem_not_counted_for_evict": "400"}, {}).memory_ratio == 0.5
    assert server_info_from(HEALTHY | {"maxmemory": "0"}, {}).memory_ratio is None


async def test_a_server_that_denies_info_has_empty_server_info(server: Cluster) -> None:
    await server.pipeline.send("ACL", "SETUSER", "guest", "on", ">secret", "~*", "&*", "+@all", "-config", "-info")
    pipeline = ServerPipeline(Address(f"unix://guest:secret@{server.socket}"), "guest", patience_s=2)
    await pipeline.open()
    try:
        assert await read_server_info(pipeline) == ServerInfo()
    finally:
        await pipeline.close()
    info = await read_server_info(server.pipeline)
    assert (info.append_only, info.eviction, info.snapshots) == (True, "noeviction", False)
