"""Runs a coroutine on the event loop from another thread, which executes a synchronous node or a synchronous client."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


def run_from_thread(loop: asyncio.AbstractEventLoop, work: Callable[[], Coroutine[Any, Any, T]], problem: str) -> T:
    """Runs `work` on `loop` and blocks the calling thread until it returns.

    If the calling thread runs an event loop, that could deadlock. Then it raises `RuntimeError(problem)` and does not
    call `work`.
    """
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run_coroutine_threadsafe(work(), loop).result()
    raise RuntimeError(problem)
