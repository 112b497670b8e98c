"""Commands and scripts on a real cluster: each reaches the server of its slot, once, also while slots move and servers
fail."""

from __future__ import annotations

import asyncio
import hashlib

import pytest
import redis

from slipway.clock import Clock
from slipway.errors import StoreUnavailable
from slipway.redis.cluster_slots import guard_keys, slot_of
from slipway.redis.connect import pipeline_to, subscriber_to
from slipway.redis.connection import Address
from slipway.redis.keys import Keys
from slipway.redis.pipeline import Pipeline
from slipway.redis.script import Script
from slipway.redis.shards import Shards
from slipway.redis.wait_for_redis import open_with_retries
from tests.redis_cluster import Node, RedisCluster
from tests.waiting import wait_until


def script(source: str, *, repeatable: bool = False) -> Script:
    return Script("test", source, hashlib.sha1(source.encode()).hexdigest(), repeatable)


COUNT = script("return redis.call('INCR', ARGV[1] .. ':count')")
"""Not repeatable: each execution counts."""

SAME = script(
    """
    local first, second = redis.call('GET', ARGV[1] .. ':first'), redis.call('GET', ARGV[1] .. ':second')
    if first ~= second then return 'half' end
    redis.call('INCR', ARGV[1] .. ':first')
    redis.call('INCR', ARGV[1] .. ':second')
    return 'whole'
    """
)
"""Uses two keys that are always equal, unless it sees one of them alone."""


async def test_commands_reach_the_server_of_their_key(to_cluster: Pipeline, sharded: Shards) -> None:
    names = [f"{keys.prefix}:x" for keys in sharded.threads]
    await asyncio.gather(*(to_cluster.send("SET", name, name) for name in names))
    values = await asyncio.gather(*(to_cluster.send("GET", name, repeatable=True) for name in names))
    assert values == [name.encode() for name in names]


async def test_scripts_reach_the_server_of_their_shard(to_cluster: Pipeline, sharded: Shards) -> None:
    for expected in (1, 2):
        calls = (to_cluster.run(COUNT, [], [keys.prefix]) for keys in sharded.every)
        assert await asyncio.gather(*calls) == [expected] * len(sharded.every)


async def test_commands_of_one_iteration_share_a_write_to_each_server(to_cluster: Pipeline, sharded: Shards) -> None:
    before = to_cluster.round_trips
    await asyncio.gather(*(to_cluster.send("INCR", f"{keys.prefix}:x") for keys in sharded.every))
    assert to_cluster.round_trips - before <= 3


async def test_a_moved_slot_is_followed_and_nothing_is_doubled(
    to_cluster: Pipeline, cluster: RedisCluster, shard: Keys
) -> None:
    slot = slot_of(shard.prefix)
    target = cluster.other_primary(cluster.primary_of(slot))
    assert await to_cluster.run(COUNT, [], [shard.prefix]) == 1
    await asyncio.to_thread(cluster.move_slot, slot, target)
    results = await asyncio.gather(*(to_cluster.run(COUNT, [], [shard.prefix]) for _ in range(5)))
    assert results == [2, 3, 4, 5, 6]


async def test_commands_of_a_shard_stay_in_order_when_its_slot_has_moved(
    to_cluster: Pipeline, cluster: RedisCluster, shard: Keys
) -> None:
    slot, name = slot_of(shard.prefix), f"{shard.prefix}:list"
    await to_cluster.send("RPUSH", name, 0)
    await asyncio.to_thread(cluster.move_slot, slot, cluster.other_primary(cluster.primary_of(slot)))
    await asyncio.gather(*(to_cluster.send("RPUSH", name, number) for number in range(1, 50)))
    assert await to_cluster.send("LRANGE", name, 0, -1) == [b"%d" % number for number in range(50)]


def store_equal_numbers(cluster: RedisCluster, shard: Keys) -> None:
    """What `SAME` uses."""
    for name in ("first", "second"):
        cluster.primary_of(slot_of(shard.prefix)).call("SET", f"{shard.prefix}:{name}", 7)


def move_half(cluster: RedisCluster, shard: Keys) -> tuple[Node, Node]:
    """Begins to move the slot of a shard, and moves one of the two keys of `SAME`."""
    source = cluster.primary_of(slot_of(shard.prefix))
    target = cluster.other_primary(source)
    cluster.begin_move(slot_of(shard.prefix), source, target)
    source.call("MIGRATE", "127.0.0.1", target.port, f"{shard.prefix}:second", 0, 5000)
    return source, target


def move_rest(cluster: RedisCluster, shard: Keys, source: Node, target: Node) -> None:
    """Ends the move."""
    while cluster.move_keys(slot_of(shard.prefix), source, target):
        pass
    cluster.end_move(slot_of(shard.prefix), source, target)


async def test_a_script_never_finds_half_of_a_slot(to_cluster: Pipeline, cluster: RedisCluster, shard: Keys) -> None:
    store_equal_numbers(cluster, shard)
    source, target = move_half(cluster, shard)
    rejected = number_of_errors(source)
    calls = [asyncio.ensure_future(to_cluster.run(SAME, [], [shard.prefix])) for _ in range(5)]
    await wait_until(lambda: number_of_errors(source) > rejected + 20)  # each was rejected several times
    assert not any(call.done() for call in calls)
    await asyncio.to_thread(move_rest, cluster, shard, source, target)
    assert await asyncio.gather(*calls) == [b"whole"] * 5
    assert await to_cluster.send("MGET", f"{shard.prefix}:first", f"{shard.prefix}:second") == [b"12", b"12"]


def number_of_errors(node: Node) -> int:
    """How many commands a server has rejected because a slot is being moved."""
    stats = node.call("INFO", "errorstats")
    return sum(int(stats.get(f"errorstat_{name}", {}).get("count", 0)) for name in ("TRYAGAIN", "ASK"))


async def test_other_shards_are_used_while_a_slot_is_moved(
    to_cluster: Pipeline, cluster: RedisCluster, sharded: Shards, shard: Keys
) -> None:
    store_equal_numbers(cluster, shard)
    source, target = move_half(cluster, shard)
    others = [keys for keys in sharded.threads if keys != shard]
    assert await asyncio.gather(*(to_cluster.run(COUNT, [], [keys.prefix]) for keys in others)) == [1] * len(others)
    await asyncio.to_thread(move_rest, cluster, shard, source, target)


def test_without_guard_keys_a_script_executes_half(cluster: RedisCluster, shard: Keys) -> None:
    store_equal_numbers(cluster, shard)
    source, target = move_half(cluster, shard)
    changing = "for _, name in ipairs({':first', ':second'}) do redis.call('INCR', ARGV[1] .. name) end"
    with pytest.raises(redis.ResponseError, match="non local key"):
        source.call("EVAL", changing, 1, f"{shard.prefix}:first", shard.prefix)
    assert source.call("GET", f"{shard.prefix}:first") == "8"  # and the other number is still 7
    guarded = ("EVAL", changing, 2, *guard_keys(shard.prefix), shard.prefix)
    with pytest.raises(redis.ResponseError, match="ASK"):
        source.call(*guarded)
    with target.client as client, pytest.raises(redis.ResponseError, match="TRYAGAIN"):
        client.pipeline(transaction=False).execute_command("ASKING").execute_command(*guarded).execute()
    assert source.call("GET", f"{shard.prefix}:first") == "8"
    move_rest(cluster, shard, source, target)


class Counting:
    """Counts with a script that is not repeatable, in several tasks, until `stop`."""

    def __init__(self, pipeline: Pipeline, keys: Keys) -> None:
        self._pipeline, self._keys = pipeline, keys
        self.counted: list[int] = []
        self.unknown = 0
        """Calls of which Redis may have executed each or not."""
        self._stopping = False
        self._tasks = [asyncio.create_task(self._count()) for _ in range(4)]

    async def _count(self) -> None:
        while not self._stopping:
            try:
                self.counted.append(await self._pipeline.run(COUNT, [], [self._keys.prefix]))
            except StoreUnavailable:
                self.unknown += 1

    async def stop(self) -> None:
        self._stopping = True
        await asyncio.gather(*self._tasks)

    async def progress(self) -> None:
        """Returns when 20 more calls have returned."""
        before = len(self.counted)
        await wait_until(lambda: len(self.counted) > before + 20)


@pytest.mark.parametrize("at_once", [False, True])
async def test_nothing_is_lost_or_doubled_while_slots_move(
    to_cluster: Pipeline, cluster: RedisCluster, shard: Keys, at_once: bool
) -> None:
    slot, counting = slot_of(shard.prefix), Counting(to_cluster, shard)
    move = cluster.move_slot_at_once if at_once else cluster.move_slot
    for number in range(300):  # so that the move takes more than one command
        await to_cluster.send("SET", f"{shard.prefix}:filler:{number}", number)
    for _ in range(4):
        target = cluster.other_primary(cluster.primary_of(slot))
        await asyncio.to_thread(move, slot, target)
        await counting.progress()
    await counting.stop()
    assert sorted(counting.counted) == list(range(1, len(counting.counted) + 1))
    assert not counting.unknown


async def test_a_killed_primary_is_replaced_and_calls_continue(
    to_cluster: Pipeline, cluster: RedisCluster, shard: Keys
) -> None:
    slot, counting = slot_of(shard.prefix), Counting(to_cluster, shard)
    await counting.progress()
    killed = cluster.primary_of(slot)
    await to_cluster.send("WAIT", 1, 5000, at=shard.prefix)
    cluster.kill(killed)
    await counting.progress()
    await counting.stop()
    assert cluster.primary_of(slot) is not killed
    counted = sorted(counting.counted)
    assert 1 <= counting.unknown <= 4  # those that were on the way
    assert len(set(counted)) >= len(counted) - 4  # a promoted replica may lack the last writes


async def test_repeatable_commands_wait_for_a_failover(
    to_cluster: Pipeline, cluster: RedisCluster, sharded: Shards
) -> None:
    names = [f"{keys.prefix}:x" for keys in sharded.threads]
    await asyncio.gather(*(to_cluster.send("SET", name, 1) for name in names))
    for node in cluster.primaries:
        assert node.call("WAIT", 1, 5000) == 1
    cluster.kill(cluster.primary_of(slot_of(names[0])))
    assert await asyncio.gather(*(to_cluster.send("GET", name, repeatable=True) for name in names)) == [b"1"] * 8
    await wait_until(lambda: to_cluster.connected)


async def test_a_process_starts_when_a_killed_primary_is_replaced(cluster: RedisCluster, sharded: Shards) -> None:
    cluster.kill(cluster.primaries[0])
    pipeline = pipeline_to(Address(cluster.url), "test", patience_s=15)
    subscriber = subscriber_to(Address(cluster.url), "test")
    with pytest.raises(StoreUnavailable):
        await pipeline.open()
    await open_with_retries(pipeline.open, Clock())
    await open_with_retries(subscriber.open, Clock())
    assert await asyncio.gather(*(pipeline.run(COUNT, [], [keys.prefix]) for keys in sharded.threads)) == [1] * 8
    await subscriber.close()
    await pipeline.close()


async def test_a_primary_that_is_silent_is_left_as_soon_as_it_is_replaced(
    to_cluster: Pipeline, cluster: RedisCluster, shard: Keys
) -> None:
    name = f"{shard.prefix}:x"
    await to_cluster.send("SET", name, 1)
    await to_cluster.send("WAIT", 1, 5000, at=name)
    with cluster.suspended(cluster.primary_of(slot_of(name))):
        reading, writing = to_cluster.send("GET", name, repeatable=True), to_cluster.send("INCR", name)
        async with asyncio.timeout(8):  # less than the time after which a connection without replies is closed
            assert await reading == b"1"
            with pytest.raises(StoreUnavailable):
                await writing
            assert await to_cluster.send("GET", name, repeatable=True) == b"1"


async def test_a_planned_failover_loses_and_doubles_nothing(
    to_cluster: Pipeline, cluster: RedisCluster, shard: Keys
) -> None:
    counting = Counting(to_cluster, shard)
    await counting.progress()
    await asyncio.to_thread(cluster.fail_over, slot_of(shard.prefix))
    await counting.progress()
    await counting.stop()
    assert sorted(counting.counted) == list(range(1, len(counting.counted) + 1))
    assert not counting.unknown


async def test_a_call_fails_when_its_patience_is_over(cluster: RedisCluster, shard: Keys) -> None:
    impatient = pipeline_to(Address(cluster.url), "impatient", patience_s=0.3)
    await impatient.open()
    store_equal_numbers(cluster, shard)
    source, target = move_half(cluster, shard)
    with pytest.raises(StoreUnavailable, match=r"TRYAGAIN|ASK"):
        await impatient.run(SAME, [], [shard.prefix])
    await impatient.close()
    move_rest(cluster, shard, source, target)


async def test_a_command_without_a_key_needs_a_shard(to_cluster: Pipeline, shard: Keys) -> None:
    with pytest.raises(AssertionError, match="`at` must name a shard"):
        await to_cluster.send("TIME")
    assert len(await to_cluster.send("TIME", at=shard.prefix)) == 2
    assert await to_cluster.send("PING") == b"PONG"
