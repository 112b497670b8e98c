"""Commands to Redis: grouped, in order, and safe across broken connections and servers that cannot now."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import hiredis
import pytest

from slipway.errors import StoreUnavailable
from slipway.redis.connection import Address
from slipway.redis.keys import Keys
from slipway.redis.pipeline import Pipeline
from slipway.redis.subscriber import Subscriber
from tests.conftest import Eventually, wait_until
from tests.proxy import Proxy, proxied
from tests.runs.servers import server


@pytest.fixture
async def proxy(valkey_url: str) -> AsyncIterator[Proxy]:
    """Between the pipeline and Valkey."""
    async with proxied(valkey_url) as proxy:
        yield proxy


@asynccontextmanager
async def open_pipeline(
    url: str, *, patience_s: float = 5, reply_timeout_s: float = 10, max_reconnect_pause_s: float = 1
) -> AsyncIterator[Pipeline]:
    """An open pipeline."""
    pipeline = Pipeline(
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


async def test_commands_of_one_turn_share_a_round_trip(pipeline: Pipeline, keys: Keys) -> None:
    before = pipeline.round_trips
    answers = await asyncio.gather(*(pipeline.send("INCR", f"{keys.prefix}:n") for _ in range(500)))
    assert answers == list(range(1, 501))
    assert pipeline.round_trips == before + 1


async def test_replies_keep_their_order_under_load(pipeline: Pipeline) -> None:
    async def one(task: int) -> None:
        for number in range(50):
            said = f"{task}:{number}:" + "x" * (task * 37 % 4000)
            assert await pipeline.send("ECHO", said) == said.encode()

    await asyncio.gather(*(one(task) for task in range(40)))


async def test_an_error_is_the_error_of_its_own_command(pipeline: Pipeline, keys: Keys) -> None:
    answers = await asyncio.gather(
        pipeline.send("SET", f"{keys.prefix}:a", "1"),
        pipeline.send("LPUSH", f"{keys.prefix}:a", "1"),
        pipeline.send("GET", f"{keys.prefix}:a"),
        return_exceptions=True,
    )
    assert [answers[0], answers[2]] == [b"OK", b"1"]
    assert isinstance(answers[1], hiredis.ReplyError)


async def test_a_caller_that_gave_up_does_not_shift_the_answers(pipeline: Pipeline) -> None:
    given_up = pipeline.send("ECHO", "1")
    kept = pipeline.send("ECHO", "2")
    given_up.cancel()
    assert await kept == b"2"


async def test_a_command_in_flight_at_a_break_has_an_unknown_outcome(proxy: Proxy, keys: Keys) -> None:
    async with open_pipeline(proxy.url) as pipeline:
        proxy.silent = True
        once, again = pipeline.send("INCR", f"{keys.prefix}:n"), pipeline.send("ECHO", "x", repeatable=True)
        await _passed(proxy)
        proxy.silent = False
        proxy.cut()
        with pytest.raises(StoreUnavailable):
            await once
        assert await again == b"x"
        assert await pipeline.send("GET", f"{keys.prefix}:n") == b"1"
        assert pipeline.reconnected


async def _passed(proxy: Proxy) -> None:
    """The server has answered, and the answer was lost."""
    count = proxy.lost
    await wait_until(lambda: proxy.lost > count)


async def test_repeated_commands_keep_their_order(proxy: Proxy, keys: Keys) -> None:
    async with open_pipeline(proxy.url) as pipeline:
        proxy.silent = True
        sent = [pipeline.send("ECHO", str(number), repeatable=True) for number in range(20)]
        await _passed(proxy)
        proxy.silent = False
        proxy.cut()
        more = [pipeline.send("ECHO", str(number), repeatable=True) for number in range(20, 40)]
        assert [int(answer) for answer in await asyncio.gather(*sent, *more)] == list(range(40))


async def test_what_is_sent_again_comes_before_what_was_sent_in_the_moment_of_the_break(
    proxy: Proxy, keys: Keys
) -> None:
    async with open_pipeline(proxy.url) as pipeline:
        log = f"{keys.prefix}:log"
        proxy.silent = True
        first = pipeline.send("RPUSH", log, "first", repeatable=True)
        await _passed(proxy)
        proxy.silent = False
        pipeline.reconnect()
        await asyncio.gather(first, pipeline.send("RPUSH", log, "later", repeatable=True))
        assert await pipeline.send("LRANGE", log, 0, -1) == [b"first", b"first", b"later"]


async def test_a_server_that_stays_away_is_given_up_when_patience_ends(proxy: Proxy) -> None:
    async with open_pipeline(proxy.url, patience_s=0.3) as pipeline:
        proxy.refusing = True
        proxy.cut()
        began = asyncio.get_running_loop().time()
        with pytest.raises(StoreUnavailable, match="unavailable"):
            await pipeline.send("PING", repeatable=True)
        assert asyncio.get_running_loop().time() - began > 0.2
        proxy.refusing = False
        await _until_it_answers(pipeline)


async def _until_it_answers(pipeline: Pipeline) -> None:
    async with asyncio.timeout(30):
        while True:
            try:
                await pipeline.send("PING", repeatable=True)
                return
            except StoreUnavailable:
                continue


async def test_a_connection_that_fell_silent_is_replaced(proxy: Proxy) -> None:
    async with open_pipeline(proxy.url, reply_timeout_s=0.3) as pipeline:
        proxy.silent = True
        answer = pipeline.send("ECHO", "x", repeatable=True)
        await _passed(proxy)
        proxy.silent = False
        assert await asyncio.wait_for(answer, 30) == b"x"
        assert pipeline.connections == 2


async def test_cuts_in_the_middle_of_a_greeting_are_survived(proxy: Proxy) -> None:
    async with open_pipeline(proxy.url) as pipeline:
        for _ in range(10):
            proxy.cut_after_requests = proxy.requests + 1
            proxy.cut()
            assert await pipeline.send("ECHO", "x", repeatable=True) == b"x"


async def test_a_closed_pipeline_answers_at_once(valkey_url: str) -> None:
    async with open_pipeline(valkey_url) as pipeline:
        waiting = pipeline.send("BLPOP", "nothing-comes", 0)
        await asyncio.sleep(0)
    for answer in (waiting, pipeline.send("PING"), pipeline.send("PING", repeatable=True)):
        with pytest.raises(StoreUnavailable):
            await asyncio.wait_for(answer, 30)


async def test_what_waits_for_a_lost_connection_is_answered_when_the_pipeline_closes(
    proxy: Proxy, eventually: Eventually
) -> None:
    async with open_pipeline(proxy.url, patience_s=3600) as pipeline:
        proxy.refusing = True
        proxy.cut()
        await eventually(lambda: not pipeline.connected)
        waiting = pipeline.send("PING", repeatable=True)
        await asyncio.sleep(0)
    with pytest.raises(StoreUnavailable):
        await asyncio.wait_for(waiting, 30)


async def test_the_pauses_between_tries_to_connect_stay_short(proxy: Proxy, eventually: Eventually) -> None:
    """They double, but only up to a limit: a server that is back after an hour is found at once."""
    async with open_pipeline(proxy.url, max_reconnect_pause_s=0.1):
        proxy.refusing = True
        proxy.cut()
        tries = proxy.accepted
        await eventually(lambda: proxy.accepted >= tries + 15)  # pauses that double would take 27 minutes
        proxy.refusing = False


async def test_nothing_waits_for_a_pipeline_that_was_closed_between_two_tries(keys: Keys) -> None:
    async with server("--replicaof", "127.0.0.1", "1", "--replica-serve-stale-data", "no") as away:
        async with open_pipeline(away.url) as pipeline:
            answer = pipeline.send("GET", f"{keys.prefix}:x", repeatable=True)
            await asyncio.wait([answer], timeout=0.15)
            assert not answer.done()
        with pytest.raises(StoreUnavailable):
            await asyncio.wait_for(answer, 30)


async def test_a_pipeline_that_cannot_connect_says_where_to() -> None:
    with pytest.raises(StoreUnavailable, match="nowhere"):
        await Pipeline(Address("unix:///nowhere.sock"), "test", patience_s=1).open()


async def test_a_refused_password_is_not_a_connection(keys: Keys) -> None:
    async with server() as locked:
        async with open_pipeline(locked.url) as pipeline:
            await pipeline.send("CONFIG", "SET", "requirepass", "secret")
        with pytest.raises(StoreUnavailable, match="refuses"):
            await Pipeline(Address(f"{locked.url}?password=wrong"), "test", patience_s=1).open()
        async with open_pipeline(f"{locked.url}?password=secret") as pipeline:
            assert await pipeline.send("PING") == b"PONG"
            await pipeline.send("CONFIG", "SET", "requirepass", "")


async def test_a_listener_hears_that_it_may_have_missed_something(
    proxy: Proxy, pipeline: Pipeline, keys: Keys, eventually: Eventually
) -> None:
    heard: list[bytes | None] = []
    subscriber = Subscriber(Address(proxy.url), "test")
    await subscriber.open()
    channel = f"{keys.prefix}:channel"
    await subscriber.subscribe(channel, heard.append)
    await pipeline.send("PUBLISH", channel, "1")
    await eventually(lambda: heard == [b"1"])
    for _ in range(5):
        proxy.cut_after_requests = proxy.requests + 1  # and once more in the greeting
        proxy.cut()
    await eventually(lambda: None in heard)
    await pipeline.send("PUBLISH", channel, "2")
    await eventually(lambda: b"2" in heard)
    subscriber.unsubscribe(channel)
    await subscriber.close()


@pytest.mark.slow
async def test_a_listening_connection_that_fell_silent_is_replaced(
    proxy: Proxy, pipeline: Pipeline, keys: Keys, eventually: Eventually
) -> None:
    """No error is raised: the handler gets None, because it may have missed messages, and new subscriptions work."""
    subscriber = Subscriber(Address(proxy.url), "test subscriber", ping_every_s=1)
    await subscriber.open()
    try:
        heard: asyncio.Queue[bytes | None] = asyncio.Queue()
        await subscriber.subscribe(keys.run_notifications("a"), heard.put_nowait)
        said = proxy.requests
        await eventually(lambda: proxy.requests >= said + 3)
        assert proxy.accepted == 1, "pings were answered"
        proxy.deafen()
        later = subscriber.subscribe(keys.run_notifications("b"), heard.put_nowait)
        assert await asyncio.wait_for(heard.get(), 30) is None
        await asyncio.wait_for(later, 30)
        await pipeline.send("PUBLISH", keys.run_notifications("b"), "hello")
        assert await asyncio.wait_for(heard.get(), 30) == b"hello"
    finally:
        await subscriber.close()


async def test_a_new_connection_does_not_answer_for_the_ping_of_a_lost_one(
    proxy: Proxy, keys: Keys, eventually: Eventually
) -> None:
    """Nobody listens, so nothing else is said on it that could be answered."""
    subscriber = Subscriber(Address(proxy.url), "test subscriber", ping_every_s=3600)
    await subscriber.open()
    try:
        proxy.silent = True
        subscriber.ping()
        await _passed(proxy)
        proxy.silent = False
        proxy.cut()
        await eventually(lambda: proxy.accepted == 2 and subscriber.connected)
        subscriber.ping()
        await asyncio.wait_for(subscriber.subscribe(keys.run_notifications("a"), lambda message: None), 30)
        assert proxy.accepted == 2
    finally:
        await subscriber.close()
