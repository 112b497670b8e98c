"""Waiting for an event with a deadline, and for a number of event loop iterations."""

from __future__ import annotations

import asyncio
import inspect
import time
from collections.abc import Awaitable, Callable
from typing import Any, Protocol

_patience = 1.0
"""`wait_until` waits this many times longer."""


def be_patient(factor: float) -> None:
    """From now on, `wait_until` waits this many times longer in this process."""
    global _patience
    _patience = factor


class Eventually(Protocol):
    """The signature of `wait_until`."""

    async def __call__(
        self,
        predicate: Callable[[], object | Awaitable[object]],
        within_s: float = 30,
        *,
        beside: asyncio.Future[Any] | None = None,
    ) -> None: ...


async def wait_until(
    predicate: Callable[[], object | Awaitable[object]],
    within_s: float = 30,
    *,
    beside: asyncio.Future[Any] | None = None,
) -> None:
    """Poll `predicate` until it is true. Raises `AssertionError` after `within_s` seconds (with `--patience`, that many
    times longer), or when `beside` ends before. The predicate must stay true once it is true, as a poll may be late."""
    within_s *= _patience
    deadline = time.monotonic() + within_s
    while True:
        result = predicate()
        if inspect.isawaitable(result):
            result = await result
        if result:
            return
        if beside is not None and beside.done():
            raise AssertionError(f"`beside` ended first: {beside.result()!r:.500}")
        assert time.monotonic() < deadline, f"not within {within_s:g} s: {_source_of(predicate)}"
        await asyncio.sleep(0.01)


def _source_of(predicate: Callable[[], object]) -> str:
    """The source text of the predicate, or its repr."""
    try:
        return inspect.getsource(predicate).strip()
    except (OSError, TypeError):  # a bound method of a builtin, a partial
        return repr(predicate)


async def event_loop_iterations(count: int) -> None:
    """Lets `count` event loop iterations pass. For tests of what happens within a number of iterations, which is the
    same on a slow machine; everything else waits for an event."""
    for _ in range(count):
        await asyncio.sleep(0)
