"""The pipeline sends commands in groups and in order, also across lost connections and an unavailable Redis."""

from __future__ import annotations

import asyncio
import hashlib
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

import hiredis
import pytest

from slipway.errors import StoreUnavailable
from slipway.redis.connection import Address
from slipway.redis.keys import Keys
from slipway.redis.pipeline import Pipeline
from slipway.redis.script import Script
from slipway.redis.server_pipeline import ServerPipeline
from slipway.redis.server_subscriber import ServerSubscriber
from tests.proxy import Proxy, proxied
from tests.runs.servers import Server, is_only_client, is_rejecting, server
from tests.waiting import Eventually, wait_until


@pytest.fixture
async def proxy(valkey_url: str) -> AsyncIterator[Proxy]:
    """A proxy between the pipeline and Valkey."""
    async with proxied(valkey_url) as proxy:
        yield proxy


@pytest.fixture
async def own_server() -> AsyncIterator[Server]:
    """A server that only this test uses, and may suspend."""
    async with server() as own_server:
        yield own_server


@asynccontextmanager
async def open_pipeline(
    url: str, *, patience_s: float = 5, reply_timeout_s: float = 10, max_reconnect_pause_s: float = 1
) -> AsyncIterator[Pipeline]:
    """A pipeline to this URL with these timeouts."""
    pipeline = ServerPipeline(
        Address(url),
        "test",
        patience_s=patience_s,
        reply_timeout_s=reply_timeout_s,
        max_reconnect_pause_s=max_reconnect_pause_s,
    )
    await pipeline.open()
    try:
        yield pipeline
    finally:
        await pipeline.close()


async def test_commands_of_one_event_loop_iteration_share_a_round_trip(pipeline: Pipeline, keys: Keys) -> None:
    before = pipeline.round_trips
    replies = await asyncio.gather(*(pipeline.send("INCR", f"{keys.prefix}:n") for _ in range(500)))
    assert replies == list(range(1, 501))
    assert pipeline.round_trips == before + 1


async def test_replies_keep_their_order_under_load(pipeline: Pipeline) -> None:
    async def echo(task: int) -> None:
        for number in range(50):
            text = f"{task}:{number}:" + "x" * (task * 37 % 4000)
            assert await pipeline.send("ECHO", text) == text.encode()

    await asyncio.gather(*(echo(task) for task in range(40)))


async def test_an_error_reply_belongs_to_its_own_command(pipeline: Pipeline, keys: Keys) -> None:
    replies = await asyncio.gather(
        pipeline.send("SET", f"{keys.prefix}:a", "1"),
        pipeline.send("LPUSH", f"{keys.prefix}:a", "1"),
        pipeline.send("GET", f"{keys.prefix}:a"),
        return_exceptions=True,
    )
    assert [replies[0], replies[2]] == [b"OK", b"1"]
    assert isinstance(replies[1], hiredis.ReplyError)


async def test_a_cancelled_command_does_not_shift_the_replies_of_others(pipeline: Pipeline) -> None:
    cancelled = pipeline.send("ECHO", "1")
    other = pipeline.send("ECHO", "2")
    cancelled.cancel()
    assert await other == b"2"


async def test_only_repeatable_commands_are_sent_again_after_a_disconnect(proxy: Proxy, keys: Keys) -> None:
    async with open_pipeline(proxy.url) as pipeline:
        proxy.dropping_replies = True
        once, repeatable = pipeline.send("INCR", f"{keys.prefix}:n"), pipeline.send("ECHO", "x", repeatable=True)
        await _reply_lost(proxy)
        proxy.dropping_replies = False
        proxy.cut()
        with pytest.raises(StoreUnavailable):
            await once
        assert await repeatable == b"x"
        assert await pipeline.send("GET", f"{keys.prefix}:n") == b"1"
        assert pipeline.reconnected


@pytest.mark.parametrize(
    ("writes", "certain"),
    [
        ([[20_000]], True),
        ([[100, 100, 100]], True),
        ([[100, 20_000]], False),
        ([[100], [100]], False),
    ],
)
async def test_commands_that_redis_reads_at_once_are_executed_although_the_process_is_killed(
    own_server: Server, keys: Keys, writes: list[list[int]], certain: bool
) -> None:
    """Each of `writes` has the sizes of its commands. Redis cannot reply to the killed process, and then reads nothing
    more."""
    async with open_pipeline(own_server.url) as survivor:
        async with open_pipeline(own_server.url) as killed:
            own_server.suspend()
            sent = []
            for write in writes:
                sent += [killed.send("RPUSH", f"{keys.prefix}:list", b"x" * size) for size in write]
                is_certain = await killed.will_be_executed()
        await wait_until(lambda: not killed.connected)  # the event loop closes the socket a moment later
        own_server.resume()
        await asyncio.gather(*sent, return_exceptions=True)  # none of them has a reply
        await wait_until(partial(is_only_client, survivor))
        executed = await survivor.send("LLEN", f"{keys.prefix}:list")
    assert is_certain is certain
    assert executed == (1 if writes == [[100, 20_000]] else len(sent))


async def test_commands_without_a_reply_are_not_certain_while_they_wait_for_a_connection(proxy: Proxy) -> None:
    async with open_pipeline(proxy.url) as pipeline:
        assert await pipeline.will_be_executed()
        proxy.rejecting = True
        proxy.cut()
        await wait_until(lambda: not pipeline.connected)
        reply = pipeline.send("PING", repeatable=True)
        assert not await pipeline.will_be_executed()
        proxy.rejecting = False
        await reply
        assert await pipeline.will_be_executed()


async def test_a_script_that_redis_may_not_have_is_not_certain(proxy: Proxy) -> None:
    source = f"return ARGV[1] -- {uuid.uuid4()}"
    script = Script("echo", source, hashlib.sha1(source.encode()).hexdigest(), repeatable=True)
    async with open_pipeline(proxy.url) as pipeline:
        for certain in (False, True):
            reply = pipeline.run(script, (), ("x",))
            assert await pipeline.will_be_executed() is certain
            assert await reply == b"x"
        proxy.cut()  # the server behind the next connection may be another one
        await wait_until(lambda: pipeline.connections == 2)
        reply = pipeline.run(script, (), ("x",))
        assert not await pipeline.will_be_executed()
        assert await reply == b"x"


async def test_a_command_that_a_full_redis_has_rejected_is_not_certain(own_server: Server, keys: Keys) -> None:
    async with open_pipeline(own_server.url) as pipeline:
        await pipeline.send("CONFIG", "SET", "maxmemory", "1")
        reply = pipeline.send("SET", f"{keys.prefix}:a", "1", repeatable=True)
        await wait_until(partial(is_rejecting, pipeline, "OOM"))
        assert not await pipeline.will_be_executed()
        await pipeline.send("CONFIG", "SET", "maxmemory", "0")
        assert await reply == b"OK"
        assert await pipeline.will_be_executed()


async def _reply_lost(proxy: Proxy) -> None:
    """Waits until Redis has replied and the proxy has discarded the reply."""
    count = proxy.dropped
    await wait_until(lambda: proxy.dropped > count)


async def test_repeated_commands_keep_their_order(proxy: Proxy, keys: Keys) -> None:
    async with open_pipeline(proxy.url) as pipeline:
        proxy.dropping_replies = True
        sent = [pipeline.send("ECHO", str(number), repeatable=True) for number in range(20)]
        await _reply_lost(proxy)
        proxy.dropping_replies = False
        proxy.cut()
        more = [pipeline.send("ECHO", str(number), repeatable=True) for number in range(20, 40)]
        assert [int(reply) for reply in await asyncio.gather(*sent, *more)] == list(range(40))


async def test_repeated_commands_are_sent_before_commands_from_the_moment_of_the_disconnect(
    proxy: Proxy, keys: Keys
) -> None:
    async with open_pipeline(proxy.url) as pipeline:
        log = f"{keys.prefix}:log"
        proxy.dropping_replies = True
        first = pipeline.send("RPUSH", log, "first", repeatable=True)
        await _reply_lost(proxy)
        proxy.dropping_replies = False
        pipeline.reconnect()
        await asyncio.gather(first, pipeline.send("RPUSH", log, "later", repeatable=True))
        assert await pipeline.send("LRANGE", log, 0, -1) == [b"first", b"first", b"later"]


async def test_a_command_fails_when_redis_stays_unavailable(proxy: Proxy) -> None:
    async with open_pipeline(proxy.url, patience_s=0.3) as pipeline:
        proxy.rejecting = True
        proxy.cut()
        sent_at = asyncio.get_running_loop().time()
        with pytest.raises(StoreUnavailable, match="unavailable"):
            await pipeline.send("PING", repeatable=True)
        assert asyncio.get_running_loop().time() - sent_at > 0.2
        proxy.rejecting = False
        await _wait_for_reply(pipeline)


async def _wait_for_reply(pipeline: Pipeline) -> None:
    async with asyncio.timeout(30):
        while True:
            try:
                await pipeline.send("PING", repeatable=True)
                return
            except StoreUnavailable:
                continue


async def test_a_connection_without_replies_is_replaced(proxy: Proxy) -> None:
    async with open_pipeline(proxy.url, reply_timeout_s=0.3) as pipeline:
        proxy.dropping_replies = True
        reply = pipeline.send("ECHO", "x", repeatable=True)
        await _reply_lost(proxy)
        proxy.dropping_replies = False
        assert await asyncio.wait_for(reply, 30) == b"x"
        assert pipeline.connections == 2


async def test_disconnects_during_the_handshake_are_survived(proxy: Proxy) -> None:
    async with open_pipeline(proxy.url) as pipeline:
        for _ in range(10):
            proxy.cut_after_requests = proxy.requests + 1
            proxy.cut()
            assert await pipeline.send("ECHO", "x", repeatable=True) == b"x"


async def test_commands_of_a_closed_pipeline_fail_at_once(valkey_url: str) -> None:
    async with open_pipeline(valkey_url) as pipeline:
        waiting = pipeline.send("BLPOP", "empty-list", 0)
        await asyncio.sleep(0)
    for reply in (waiting, pipeline.send("PING"), pipeline.send("PING", repeatable=True)):
        with pytest.raises(StoreUnavailable):
            await asyncio.wait_for(reply, 30)


async def test_commands_that_wait_for_a_connection_fail_when_the_pipeline_closes(
    proxy: Proxy, eventually: Eventually
) -> None:
    async with open_pipeline(proxy.url, patience_s=3600) as pipeline:
        proxy.rejecting = True
        proxy.cut()
        await eventually(lambda: not pipeline.connected)
        waiting = pipeline.send("PING", repeatable=True)
        await asyncio.sleep(0)
    with pytest.raises(StoreUnavailable):
        await asyncio.wait_for(waiting, 30)


async def test_the_pause_between_reconnects_has_a_maximum(proxy: Proxy, eventually: Eventually) -> None:
    """Pauses double up to the maximum, so a Redis that is available again after an hour is found at once."""
    async with open_pipeline(proxy.url, max_reconnect_pause_s=0.1):
        proxy.rejecting = True
        proxy.cut()
        tries = proxy.accepted
        await eventually(lambda: proxy.accepted >= tries + 15)  # pauses that double would take 27 minutes
        proxy.rejecting = False


async def test_commands_that_wait_to_be_sent_again_fail_when_the_pipeline_closes(keys: Keys) -> None:
    async with server("--replicaof", "127.0.0.1", "1", "--replica-serve-stale-data", "no") as replica:
        async with open_pipeline(replica.url) as pipeline:
            reply = pipeline.send("GET", f"{keys.prefix}:x", repeatable=True)
            await wait_until(partial(is_rejecting, pipeline, "MASTERDOWN"))
            assert not reply.done()
        with pytest.raises(StoreUnavailable):
            await asyncio.wait_for(reply, 30)


async def test_the_error_of_a_failed_connection_names_the_address() -> None:
    with pytest.raises(StoreUnavailable, match="nowhere"):
        await ServerPipeline(Address("unix:///nowhere.sock"), "test", patience_s=1).open()


async def test_a_wrong_password_fails_the_connection(keys: Keys) -> None:
    async with server() as locked:
        async with open_pipeline(locked.url) as pipeline:
            await pipeline.send("CONFIG", "SET", "requirepass", "secret")
        with pytest.raises(StoreUnavailable, match="rejects"):
            await ServerPipeline(Address(f"{locked.url}?password=wrong"), "test", patience_s=1).open()
        async with open_pipeline(f"{locked.url}?password=secret") as pipeline:
            assert await pipeline.send("PING") == b"PONG"
            await pipeline.send("CONFIG", "SET", "requirepass", "")


async def test_a_handler_receives_none_after_a_disconnect(
    proxy: Proxy, pipeline: Pipeline, keys: Keys, eventually: Eventually
) -> None:
    messages: list[bytes | None] = []
    subscriber = ServerSubscriber(Address(proxy.url), "test")
    await subscriber.open()
    channel = f"{keys.prefix}:channel"
    await subscriber.subscribe(channel, messages.append)
    await pipeline.send("PUBLISH", channel, "1")
    await eventually(lambda: messages == [b"1"])
    for _ in range(5):
        proxy.cut_after_requests = proxy.requests + 1  # also cuts the next connection during its handshake
        proxy.cut()
    await eventually(lambda: None in messages)
    await pipeline.send("PUBLISH", channel, "2")
    await eventually(lambda: b"2" in messages)
    subscriber.unsubscribe(channel)
    await subscriber.close()


async def test_an_unsubscription_is_sent_with_the_next_subscription_or_soon(
    proxy: Proxy, pipeline: Pipeline, keys: Keys, eventually: Eventually
) -> None:
    """In both cases in one write."""
    messages: list[bytes | None] = []
    first, second = f"{keys.prefix}:first", f"{keys.prefix}:second"
    subscriber = ServerSubscriber(Address(proxy.url), "test")
    await subscriber.open()
    try:
        await subscriber.subscribe(first, messages.append)
        requests = proxy.requests
        subscriber.unsubscribe(first)
        await asyncio.gather(*(subscriber.subscribe(channel, messages.append) for channel in (first, second)))
        assert proxy.requests == requests + 1
        for channel in (first, second):
            await pipeline.send("PUBLISH", channel, channel)
        await eventually(lambda: messages == [first.encode(), second.encode()])
        subscriber.unsubscribe(first)
        requests = proxy.requests
        await eventually(lambda: proxy.requests == requests + 1)
    finally:
        await subscriber.close()


@pytest.mark.slow
async def test_a_subscriber_connection_without_replies_is_replaced(
    proxy: Proxy, pipeline: Pipeline, keys: Keys, eventually: Eventually
) -> None:
    """No error is raised: the handler gets None, because it may have missed messages, and new subscriptions work."""
    subscriber = ServerSubscriber(Address(proxy.url), "test subscriber", ping_every_s=0.3)
    await subscriber.open()
    try:
        messages: asyncio.Queue[bytes | None] = asyncio.Queue()
        await subscriber.subscribe(keys.run_notifications("a"), messages.put_nowait)
        requests = proxy.requests
        await eventually(lambda: proxy.requests >= requests + 3)
        assert proxy.accepted == 1, "pings were answered"
        proxy.drop_data()
        later = subscriber.subscribe(keys.run_notifications("b"), messages.put_nowait)
        assert await asyncio.wait_for(messages.get(), 30) is None
        await asyncio.wait_for(later, 30)
        await pipeline.send("PUBLISH", keys.run_notifications("b"), "hello")
        assert await asyncio.wait_for(messages.get(), 30) == b"hello"
    finally:
        await subscriber.close()


async def test_a_ping_of_a_lost_connection_does_not_replace_the_next_connection(
    proxy: Proxy, keys: Keys, eventually: Eventually
) -> None:
    """Without subscriptions, a ping is the only command on the connection."""
    subscriber = ServerSubscriber(Address(proxy.url), "test subscriber", ping_every_s=3600)
    await subscriber.open()
    try:
        proxy.dropping_replies = True
        subscriber.ping()
        await _reply_lost(proxy)
        proxy.dropping_replies = False
        proxy.cut()
        await eventually(lambda: proxy.accepted == 2 and subscriber.connected)
        subscriber.ping()
        await asyncio.wait_for(subscriber.subscribe(keys.run_notifications("a"), lambda message: None), 30)
        assert proxy.accepted == 2
    finally:
        await subscriber.close()
