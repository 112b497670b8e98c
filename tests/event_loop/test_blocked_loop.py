"""A thread that waits for the event loop ends when code of its own run blocks the event loop until the thread ends."""

from __future__ import annotations

import asyncio
import time
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context

import pytest

from slipway import asyncio_bridge, blocked_loop
from slipway.current_work import CURRENT_WORK


async def respond() -> str:
    return "response"


async def test_only_code_of_the_run_of_the_thread_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asyncio_bridge, "CHECK_EVERY_S", 0.02)
    monkeypatch.setattr(blocked_loop, "WAITS_FOR_THREAD_S", 0.1)
    monkeypatch.setattr(blocked_loop, "BLOCKED_S", 0.1)
    loop = asyncio.get_running_loop()
    CURRENT_WORK.set({"run": "one"})
    with ThreadPoolExecutor() as pool:
        waits = pool.submit(copy_context().run, asyncio_bridge.run_from_thread, loop, respond, "")
        with pytest.raises(RuntimeError, match="the event loop is blocked by the code that waits for this thread"):
            waits.result()
        waits = pool.submit(copy_context().run, asyncio_bridge.run_from_thread, loop, respond, "")
        CURRENT_WORK.set({"run": "another"})
        time.sleep(0.3)  # another run blocks the event loop for a while
        assert await asyncio.wrap_future(waits) == "response"


async def test_an_event_loop_is_not_blocked_while_the_process_is_suspended(monkeypatch: pytest.MonkeyPatch) -> None:
    """The machine was asleep, or had no time for the process: afterwards the event loop responds."""
    CURRENT_WORK.set({"run": "one"})
    watch, now = blocked_loop.BlockedLoopWatch(asyncio.get_running_loop()), time.monotonic()
    assert not watch.is_deadlock()
    monkeypatch.setattr("slipway.blocked_loop.time.monotonic", lambda: now + 60)
    assert not watch.is_deadlock()
