"""Messages on a real cluster: each arrives, or the handler receives `None`, also when slots move and servers fail."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator
from typing import Any

import pytest

from slipway.redis.cluster_slots import slot_of
from slipway.redis.cluster_subscriber import ClusterSubscriber
from slipway.redis.cluster_topology import ClusterTopology
from slipway.redis.connect import subscriber_to
from slipway.redis.connection import Address
from slipway.redis.keys import Keys
from slipway.redis.pipeline import Pipeline
from slipway.redis.script import Script
from slipway.redis.shards import Shards
from slipway.redis.subscriber import Subscriber
from tests.redis_cluster import RedisCluster
from tests.waiting import wait_until

_SOURCE = "return redis.call('SPUBLISH', ARGV[1] .. ARGV[2], ARGV[3])"
PUBLISH = Script("publish", _SOURCE, hashlib.sha1(_SOURCE.encode()).hexdigest(), repeatable=True)


@pytest.fixture
async def subscriber(cluster: RedisCluster) -> AsyncIterator[Subscriber]:
    """An open subscriber to the cluster."""
    subscriber = subscriber_to(Address(cluster.url), "test subscriber")
    await subscriber.open()
    try:
        yield subscriber
    finally:
        await subscriber.close()


async def publish(pipeline: Pipeline, keys: Keys, message: str, channel: str = ":channel") -> Any:
    """Publishes with a script. Returns the number of receivers."""
    return await pipeline.run(PUBLISH, [], [keys.prefix, channel, message])


async def test_messages_of_all_shards_arrive(to_cluster: Pipeline, subscriber: Subscriber, sharded: Shards) -> None:
    received: dict[str, list[bytes | None]] = {keys.prefix: [] for keys in sharded.threads}
    await asyncio.gather(
        *(subscriber.subscribe(f"{prefix}:channel", handler.append) for prefix, handler in received.items())
    )
    counts = await asyncio.gather(*(publish(to_cluster, keys, keys.prefix) for keys in sharded.threads))
    assert counts == [1] * len(counts)  # only the server of the slot has the message
    await wait_until(lambda: all(received.values()))
    assert received == {prefix: [prefix.encode()] for prefix in received}


async def test_many_channels_of_a_shard(to_cluster: Pipeline, subscriber: Subscriber, shard: Keys) -> None:
    received: list[bytes | None] = []
    names = [f":{number}" for number in range(300)]
    await asyncio.gather(*(subscriber.subscribe(shard.prefix + name, received.append) for name in names))
    await asyncio.gather(*(publish(to_cluster, shard, name, name) for name in names))
    await wait_until(lambda: len(received) == len(names))
    for name in names:
        subscriber.unsubscribe(shard.prefix + name)

    async def receivers() -> int:
        return sum(await asyncio.gather(*(publish(to_cluster, shard, "again", name) for name in names)))

    await wait_until(lambda: _is_zero(receivers()))
    assert len(received) == len(names)


async def _is_zero(count: Any) -> bool:
    return bool(await count == 0)


async def test_a_channel_that_is_subscribed_again_at_once_receives_each_message_once(
    to_cluster: Pipeline, subscriber: Subscriber, shard: Keys
) -> None:
    received: list[bytes | None] = []
    for _ in range(3):
        await subscriber.subscribe(f"{shard.prefix}:channel", received.append)
        subscriber.unsubscribe(f"{shard.prefix}:channel")
        await subscriber.subscribe(f"{shard.prefix}:channel", received.append)
    await publish(to_cluster, shard, "once")
    await publish(to_cluster, shard, "end")
    await wait_until(lambda: b"end" in received)
    assert received == [b"once", b"end"]


class Follower:
    """Receives numbers that are also stored in a list. After `None` it reads the list, as the follower of an event log
    does."""

    def __init__(self, pipeline: Pipeline, keys: Keys) -> None:
        self._pipeline, self._keys = pipeline, keys
        self.numbers: set[int] = set()
        self.gaps = 0
        self._reads: set[asyncio.Task[None]] = set()

    def on_message(self, message: bytes | None) -> None:
        if message is not None:
            self.numbers.add(int(message))
            return
        self.gaps += 1
        task = asyncio.create_task(self._read())
        self._reads.add(task)

    async def _read(self) -> None:
        stored = await self._pipeline.send("LRANGE", f"{self._keys.prefix}:list", 0, -1, repeatable=True)
        self.numbers.update(map(int, stored))


_APPEND_SOURCE = """
local count = redis.call('RPUSH', ARGV[1] .. ':list', ARGV[2])
redis.call('SPUBLISH', ARGV[1] .. ':channel', ARGV[2])
return count
"""
APPEND = Script("append", _APPEND_SOURCE, hashlib.sha1(_APPEND_SOURCE.encode()).hexdigest(), repeatable=True)


async def append(pipeline: Pipeline, keys: Keys, numbers: range) -> None:
    for number in numbers:
        await pipeline.run(APPEND, [], [keys.prefix, number])


async def test_each_number_arrives_while_the_slot_moves(
    to_cluster: Pipeline, subscriber: Subscriber, cluster: RedisCluster, shard: Keys
) -> None:
    follower, slot = Follower(to_cluster, shard), slot_of(shard.prefix)
    await subscriber.subscribe(f"{shard.prefix}:channel", follower.on_message)
    for move in (cluster.move_slot, cluster.move_slot_at_once, cluster.move_slot):
        appending = asyncio.create_task(append(to_cluster, shard, range(100)))
        await asyncio.to_thread(move, slot, cluster.other_primary(cluster.primary_of(slot)))
        await appending
        await append(to_cluster, shard, range(100, 110))
        await wait_until(lambda: follower.numbers == set(range(110)))
        follower.numbers.clear()
        await to_cluster.send("DEL", f"{shard.prefix}:list")
    assert follower.gaps >= 3
    assert await publish(to_cluster, shard, "1") == 1  # it follows the slot to its last server


async def test_each_number_arrives_when_the_primary_is_killed(
    to_cluster: Pipeline, subscriber: Subscriber, cluster: RedisCluster, shard: Keys
) -> None:
    follower, slot = Follower(to_cluster, shard), slot_of(shard.prefix)
    await subscriber.subscribe(f"{shard.prefix}:channel", follower.on_message)
    await append(to_cluster, shard, range(20))
    cluster.kill(cluster.primary_of(slot))
    await append(to_cluster, shard, range(20, 60))
    await wait_until(lambda: set(range(20, 60)) <= follower.numbers)
    assert follower.gaps == 1
    await wait_until(lambda: subscriber.connected)


async def test_each_number_arrives_when_the_primary_is_silent(
    to_cluster: Pipeline, cluster: RedisCluster, shard: Keys
) -> None:
    subscriber = subscriber_to(Address(cluster.url), "test subscriber", to_cluster)
    await subscriber.open()
    follower, slot = Follower(to_cluster, shard), slot_of(shard.prefix)
    await subscriber.subscribe(f"{shard.prefix}:channel", follower.on_message)
    await append(to_cluster, shard, range(20))
    with cluster.suspended(cluster.primary_of(slot)):
        async with asyncio.timeout(8):  # less than the time after which pings would notice it
            await append(to_cluster, shard, range(20, 60))
            await wait_until(lambda: set(range(20, 60)) <= follower.numbers)
    await subscriber.close()


async def test_each_number_arrives_after_a_planned_failover(
    to_cluster: Pipeline, subscriber: Subscriber, cluster: RedisCluster, shard: Keys
) -> None:
    follower, slot = Follower(to_cluster, shard), slot_of(shard.prefix)
    await subscriber.subscribe(f"{shard.prefix}:channel", follower.on_message)
    appending = asyncio.create_task(append(to_cluster, shard, range(200)))
    await asyncio.to_thread(cluster.fail_over, slot)
    await appending
    await wait_until(lambda: follower.numbers == set(range(200)))
    await wait_until(lambda: _is_one(publish(to_cluster, shard, "1")))


async def _is_one(count: Any) -> bool:
    return bool(await count == 1)


async def test_a_broken_connection_is_a_gap(to_cluster: Pipeline, subscriber: Subscriber, shard: Keys) -> None:
    received: list[bytes | None] = []
    await subscriber.subscribe(f"{shard.prefix}:channel", received.append)
    subscriber.reconnect()
    await wait_until(lambda: received == [None])
    await publish(to_cluster, shard, "later")
    await wait_until(lambda: received == [None, b"later"])


async def test_a_server_without_sharded_channels_sends_messages_to_all(
    to_cluster: Pipeline, cluster: RedisCluster, shard: Keys
) -> None:
    topology = ClusterTopology(Address(cluster.url))
    await topology.open()
    topology.has_sharded_pubsub = False
    subscriber, received = ClusterSubscriber(topology, "test"), list[bytes | None]()
    await subscriber.open()
    await subscriber.subscribe(f"{shard.prefix}:channel", received.append)
    await to_cluster.send("PUBLISH", f"{shard.prefix}:channel", "hello")
    await wait_until(lambda: received == [b"hello"])
    await subscriber.close()
