"""Large commands are sent on a connection of their own, so that small ones do not wait behind them."""

from __future__ import annotations

import asyncio
import hashlib
import secrets
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest

from slipway.redis import server_pipeline
from slipway.redis.connection import Address
from slipway.redis.connection_budget import permits_large_commands
from slipway.redis.keys import Keys
from slipway.redis.pipeline import Pipeline
from slipway.redis.script import Script
from slipway.redis.server_pipeline import LARGE_COMMAND_BYTES, ServerPipeline
from slipway.settings import Settings
from slipway.sse_frames import encode_frame
from tests.proxy import Proxy, proxied
from tests.runs.conftest import opened
from tests.runs.log_followers import start_writer
from tests.waiting import Eventually

SOURCE = "return #ARGV[1]"
SIZE = Script("size", SOURCE, hashlib.sha1(SOURCE.encode()).hexdigest(), repeatable=True)
LARGE = b"x" * LARGE_COMMAND_BYTES


@pytest.fixture
async def proxy(valkey_url: str) -> AsyncIterator[Proxy]:
    """A proxy between the connection for large commands and Valkey."""
    async with proxied(valkey_url) as proxy:
        yield proxy


def to(url: str) -> Callable[[], ServerPipeline]:
    return lambda: ServerPipeline(Address(url), "test large", patience_s=5)


@asynccontextmanager
async def open_pipeline(url: str, large_url: str) -> AsyncIterator[Pipeline]:
    pipeline = ServerPipeline(Address(url), "test", patience_s=5, large=to(large_url))
    await pipeline.open()
    try:
        yield pipeline
    finally:
        await pipeline.close()


async def test_small_commands_do_not_wait_for_a_large_one(valkey_url: str, proxy: Proxy) -> None:
    async with open_pipeline(valkey_url, proxy.url) as pipeline:
        assert await pipeline.run(SIZE, [], [LARGE], may_be_overtaken=True) == len(LARGE)
        proxy.hold_replies()
        reply = pipeline.run(SIZE, [], [LARGE], may_be_overtaken=True)
        assert await pipeline.send("PING") == b"PONG"
        assert await pipeline.run(SIZE, [], [b"small"], may_be_overtaken=True) == len(b"small")
        assert not await pipeline.will_be_executed(), "a later write group may be rejected without the large one"
        assert not reply.done()
        proxy.release_replies()
        assert await reply == len(LARGE)
        assert await pipeline.will_be_executed()


async def test_commands_keep_their_order_unless_they_may_be_overtaken(valkey_url: str, proxy: Proxy) -> None:
    async with open_pipeline(valkey_url, proxy.url) as pipeline:
        assert await pipeline.run(SIZE, [], [LARGE]) == len(LARGE)
        assert not proxy.accepted


async def test_the_connection_for_large_commands_is_closed_when_there_are_none(
    valkey_url: str, proxy: Proxy, eventually: Eventually, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server_pipeline, "LARGE_IDLE_S", 0.01)
    async with open_pipeline(valkey_url, proxy.url) as pipeline:
        for connections in (1, 2):
            assert await pipeline.run(SIZE, [], [LARGE], may_be_overtaken=True) == len(LARGE)
            assert proxy.accepted == connections

            async def is_closed() -> bool:
                return b"name=test-large" not in await pipeline.send("CLIENT", "LIST")

            await eventually(is_closed)


async def test_without_a_further_connection_large_commands_use_the_other_one(valkey_url: str, proxy: Proxy) -> None:
    proxy.rejecting = True
    async with asyncio.timeout(20), open_pipeline(valkey_url, proxy.url) as pipeline:
        for _ in range(2):
            assert await pipeline.run(SIZE, [], [LARGE], may_be_overtaken=True) == len(LARGE)
    assert proxy.accepted


async def test_large_write_groups_are_stored_once_and_in_order(valkey_url: str, keys: Keys, proxy: Proxy) -> None:
    """The connection for large commands is slow, so small groups arrive first."""
    proxy.delay_s = 0.01
    async with opened(valkey_url, keys, large=to(proxy.url)) as stores:
        writer, expected = await start_writer(stores), list[bytes]()
        for number in range(6):
            data = b"%d" % number if number % 2 else b'"%b"' % secrets.token_hex(LARGE_COMMAND_BYTES).encode()
            writer.attempt.append("values", encode_frame("values", data))
            expected.append(data)
            writer.attempt.superstep_started()
            await writer.attempt.wait_for_capacity()
        await writer.settle()
        log = await stores.log_of(writer.run_id)
        assert [event.data for event in log if event.name == "values"] == expected
        assert proxy.accepted == 1


@pytest.mark.parametrize(("most", "permitted"), [(5, False), (6, True)])
def test_a_budget_without_a_further_connection_has_none_for_large_commands(most: int, permitted: bool) -> None:
    settings = Settings(redis_max_connections=most)
    assert permits_large_commands(settings, "worker") is permitted
    assert not permits_large_commands(settings, "worker", arq_connections=1)
