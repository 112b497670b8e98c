"""Which addresses are those of a cluster, and what happens if the settings and the servers do not agree."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from slipway.errors import ConfigError, StoreUnavailable
from slipway.redis.connect import pipeline_to, subscriber_to
from slipway.redis.connection import Address, UntrustedCertificate
from slipway.redis.shards import Shards
from slipway.redis.wait_for_redis import problem_with
from slipway.settings import Settings
from tests.certificates import Certificate, self_signed
from tests.proxy import tcp_proxied
from tests.redis.test_cluster_pipeline import COUNT
from tests.redis_cluster import SOCKET, RedisCluster, running_cluster
from tests.waiting import wait_until


def settings_of(**variables: str) -> Settings:
    return Settings.load({f"SLIPWAY_{name}".upper(): value for name, value in variables.items()})


@pytest.mark.parametrize(
    ("url", "hosts"),
    [
        ("redis://a:7000,b:7001,c", [("a", 7000), ("b", 7001), ("c", 6379)]),
        ("rediss://user:p%40ss,word@a:1,[::1]:2/0?x=1", [("a", 1), ("::1", 2)]),
        ("redis://a,b", [("a", 6379), ("b", 6379)]),
    ],
)
def test_an_address_with_several_hosts_is_a_cluster(url: str, hosts: list[tuple[str, int]]) -> None:
    address = Address(settings_of(redis_url=url).redis)
    assert address.is_cluster
    assert list(address.hosts) == hosts


def test_the_setting_makes_one_host_a_cluster() -> None:
    url = "redis://:secret@a:7000"
    assert Address(settings_of(redis_url=url, redis_cluster="1").redis).is_cluster
    assert not Address(settings_of(redis_url=url).redis).is_cluster


def test_each_server_has_the_credentials_of_the_address() -> None:
    address = Address("redis://user:secret@a:1,b:2")
    server = address.at("c", 3)
    assert (server.username, server.password, server.host, server.port) == ("user", "secret", "c", 3)
    assert (str(address), str(server)) == ("redis://a:1,b:2", "redis://c:3/0")


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("redis://a:1,b:2/3", "a cluster has only database 0; leave out /3"),
        ("redis://a:1,,b:2", "a host is missing beside a comma"),
        ("redis://a:1,b:x", "'b:x' is not a host and a port"),
        ("unix:///a.sock?cluster=1", "a cluster has no unix socket"),
    ],
)
def test_a_wrong_address_of_a_cluster_is_an_error(url: str, expected: str) -> None:
    with pytest.raises(ConfigError, match=expected):
        Address(url)


async def test_a_cluster_that_is_not_set_as_one_is_an_error(cluster: RedisCluster) -> None:
    url = f"redis://127.0.0.1:{cluster.nodes[0].port}"
    with pytest.raises(ConfigError, match="belongs to a cluster: set SLIPWAY_REDIS_CLUSTER=1"):
        await problem_with(url)
    assert await problem_with(settings_of(redis_url=url, redis_cluster="1").redis) is None


async def test_a_command_to_the_wrong_server_names_the_setting(cluster: RedisCluster, sharded: Shards) -> None:
    pipeline = pipeline_to(Address(f"redis://127.0.0.1:{cluster.nodes[0].port}"), "test", patience_s=5)
    await pipeline.open()
    with pytest.raises(ConfigError, match="belongs to a cluster"):
        await asyncio.gather(*(pipeline.send("GET", keys.prefix) for keys in sharded.threads))
    with pytest.raises(ConfigError, match="belongs to a cluster"):
        await asyncio.gather(*(pipeline.run(COUNT, [], [keys.prefix]) for keys in sharded.threads))
    await pipeline.close()


async def test_a_plain_server_that_is_set_as_a_cluster_is_an_error(valkey_url: str) -> None:
    async with tcp_proxied(valkey_url) as proxy:
        with pytest.raises(ConfigError, match="is not a cluster: leave out SLIPWAY_REDIS_CLUSTER"):
            await problem_with(settings_of(redis_url=proxy.url, redis_cluster="1").redis)


async def test_a_cluster_with_a_slot_without_server_is_an_error() -> None:
    with running_cluster("--cluster-require-full-coverage", "no", primaries=2, replicas=0) as small:
        for node in small.nodes:
            node.call("CLUSTER", "DELSLOTS", 7)
        with pytest.raises(ConfigError, match=r"too few nodes: 16383 of 16384 slots have a server"):
            await problem_with(small.url)


async def test_servers_that_do_not_reply_are_a_problem_and_no_error() -> None:
    problem = await problem_with("redis://127.0.0.1:1,127.0.0.1:2")
    assert problem is not None
    assert "the cluster at redis://127.0.0.1:1,127.0.0.1:2 does not reply" in problem


async def test_a_wrong_password_is_named(cluster: RedisCluster) -> None:
    problem = await problem_with(cluster.url.replace("redis://", "redis://nobody:wrong@"))
    assert problem is not None
    assert "WRONGPASS" in problem or "invalid username-password" in problem


@pytest.mark.processes
def test_a_command_ends_with_one_line_and_exit_code_2(cluster: RedisCluster, tmp_path: Path) -> None:
    graph = "from langgraph.graph import START, StateGraph\nbuilder = StateGraph(dict)\n"
    (tmp_path / "graph.py").write_text(f"{graph}builder.add_node('a', dict)\nbuilder.add_edge(START, 'a')\n")
    (tmp_path / "langgraph.json").write_text('{"dependencies": ["."], "graphs": {"a": "./graph.py:builder"}}')
    environment = {**os.environ, "SLIPWAY_REDIS_URL": f"redis://127.0.0.1:{cluster.nodes[0].port}"}
    command = [sys.executable, "-m", "slipway", "worker"]
    ended = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, check=False, text=True)
    assert ended.returncode == 2, ended.stderr
    assert len(ended.stderr.splitlines()) == 1
    assert "set SLIPWAY_REDIS_CLUSTER=1" in ended.stderr


@pytest.fixture
def certificate(tmp_path: Path) -> Certificate:
    return self_signed(tmp_path)


@pytest.fixture
async def tls_cluster(certificate: Certificate) -> AsyncIterator[RedisCluster]:
    """A cluster that tells clients TLS ports only, and closes its plain ports to them."""
    with running_cluster(replicas=0) as cluster:
        async with AsyncExitStack() as stack:
            for node in cluster.nodes:
                proxied = tcp_proxied(f"unix://{node.folder / SOCKET}", certificate.server())
                proxy = await stack.enter_async_context(proxied)
                cluster.announce(node, int(proxy.url.removesuffix("/0").rpartition(":")[2]))
            yield cluster


async def test_a_cluster_with_tls_only(tls_cluster: RedisCluster, certificate: Certificate, sharded: Shards) -> None:
    url = settings_of(redis_url=f"rediss://{tls_cluster.hosts}", redis_ca_file=str(certificate.file)).redis
    pipeline, subscriber = pipeline_to(Address(url), "test", patience_s=5), subscriber_to(Address(url), "test")
    await pipeline.open()
    await subscriber.open()
    received: list[bytes | None] = []
    for keys in sharded.threads:
        await pipeline.send("SET", f"{keys.prefix}:x", 1)
        await subscriber.subscribe(f"{keys.prefix}:channel", received.append)
        await pipeline.send("SPUBLISH", f"{keys.prefix}:channel", keys.prefix)
    await wait_until(lambda: received == [keys.prefix.encode() for keys in sharded.threads])
    await subscriber.close()
    await pipeline.close()


async def test_a_cluster_with_an_untrusted_certificate_is_an_error(tls_cluster: RedisCluster) -> None:
    with pytest.raises(ConfigError, match="SLIPWAY_REDIS_CA_FILE"):
        await problem_with(settings_of(redis_url=f"rediss://{tls_cluster.hosts}").redis)
    unverified = settings_of(redis_url=f"rediss://{tls_cluster.hosts}", redis_tls_verify="0")
    assert await problem_with(unverified.redis) is None


async def test_an_untrusted_certificate_is_not_an_outage(tls_cluster: RedisCluster) -> None:
    pipeline = pipeline_to(Address(f"rediss://{tls_cluster.hosts}"), "test", patience_s=1)
    with pytest.raises(UntrustedCertificate):
        await pipeline.open()
    await pipeline.close()
    with pytest.raises(StoreUnavailable):
        await pipeline_to(Address("redis://127.0.0.1:1,127.0.0.1:2"), "test", patience_s=1).open()
