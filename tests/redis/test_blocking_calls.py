"""Synchronous code calls Redis on an event loop of its own, also where it blocks that of the process."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import AsyncIterator
from typing import Any

import pytest

from slipway.errors import StoreUnavailable
from slipway.redis.blocking_calls import BlockingCalls
from slipway.redis.connection import Address
from slipway.redis.pipeline import Pipeline

THREAD = "blocking calls"


def _threads() -> int:
    return [thread.name for thread in threading.enumerate()].count(THREAD)


async def _ping(pipeline: Pipeline) -> Any:
    return await pipeline.send("PING", repeatable=True)


@pytest.fixture
async def calls(valkey_url: str) -> AsyncIterator[BlockingCalls]:
    calls = BlockingCalls(Address(valkey_url), "test", patience_s=5)
    yield calls
    await calls.close()


async def test_calls_of_the_event_loop_and_of_threads_share_one_thread_until_it_is_closed(calls: BlockingCalls) -> None:
    assert _threads() == 0
    assert calls.call(_ping) == b"PONG"
    assert await asyncio.gather(*(asyncio.to_thread(calls.call, _ping) for _ in range(5))) == [b"PONG"] * 5
    assert _threads() == 1
    await calls.close()
    assert _threads() == 0
    with pytest.raises(StoreUnavailable):
        calls.call(_ping)


async def test_a_call_that_waits_ends_when_it_is_closed(calls: BlockingCalls) -> None:
    began = asyncio.Event()
    loop = asyncio.get_running_loop()

    async def wait(pipeline: Pipeline) -> None:
        loop.call_soon_threadsafe(began.set)
        await asyncio.Event().wait()

    waiting = asyncio.create_task(asyncio.to_thread(calls.call, wait))
    await began.wait()
    await calls.close()
    with pytest.raises(StoreUnavailable, match="closed"):
        await waiting


async def test_without_redis_a_call_fails_after_its_patience_and_the_next_one_tries_again() -> None:
    calls = BlockingCalls(Address("unix:///does/not/exist.sock"), "test", patience_s=0.01)
    for _ in range(2):
        with pytest.raises(StoreUnavailable, match="does not reply"):
            calls.call(_ping)
    await calls.close()
    assert _threads() == 0


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs os.fork")
@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
async def test_a_forked_process_has_a_thread_of_its_own(calls: BlockingCalls) -> None:
    calls.call(_ping)
    pid = os.fork()
    if not pid:
        os._exit(0 if calls.call(_ping) == b"PONG" else 1)
    assert os.waitpid(pid, 0)[1] == 0
    assert calls.call(_ping) == b"PONG"
