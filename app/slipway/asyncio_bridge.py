"""Runs a coroutine on the event loop from another thread, which executes a synchronous node or a synchronous client."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from slipway.blocked_loop import BLOCKED_LOOP, CHECK_EVERY_S, BlockedLoopWatch

T = TypeVar("T")


def run_from_thread(loop: asyncio.AbstractEventLoop, work: Callable[[], Coroutine[Any, Any, T]], problem: str) -> T:
    """Runs `work` on `loop` and blocks the calling thread until it returns.

    If the calling thread runs an event loop, that could deadlock. Then it raises `RuntimeError(problem)` and does not
    call `work`. It also raises `RuntimeError` if code on `loop` waits for the calling thread, and cancels `work`.
    """
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return _waited_for(loop, work)
    raise RuntimeError(problem)


def _waited_for(loop: asyncio.AbstractEventLoop, work: Callable[[], Coroutine[Any, Any, T]]) -> T:
    future, watch = asyncio.run_coroutine_threadsafe(work(), loop), BlockedLoopWatch(loop)
    while True:
        try:
            return future.result(CHECK_EVERY_S)
        except TimeoutError:
            if future.done():  # it is the error of `work`
                return future.result()
            if watch.is_deadlock():
                future.cancel()
                raise RuntimeError(f"{BLOCKED_LOOP}: await the asynchronous method instead") from None
