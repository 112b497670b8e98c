"""A thread that waits for the event loop notices that code on the event loop waits for the thread: both would wait for
ever, and no timer of the event loop could end that, because it is blocked.

    async def node(state):
        with ThreadPoolExecutor() as pool:  # blocks the event loop until the thread has its result
            return pool.submit(tool.invoke, {}).result()
"""

from __future__ import annotations

import asyncio
import gc
import queue
import sys
import threading
import time
from concurrent.futures import Future
from contextvars import Context
from types import FrameType
from typing import Any, Final

from slipway.current_work import CURRENT_WORK

BLOCKED_LOOP: Final = "the event loop is blocked by the code that waits for this thread"
"""For messages of exceptions in the thread."""

CHECK_EVERY_S: Final = 0.5
WAITS_FOR_THREAD_S: Final = 2.0
"""Seconds after which a blocked event loop counts as waiting for the thread, if it waits for any thread."""
BLOCKED_S: Final = 10.0
"""The same if it does anything else, such as a loop that sleeps until the thread has ended."""

_WAITING: Final = frozenset(
    each.__code__.co_filename
    for each in (threading.Condition.wait, threading.Thread.join, queue.Queue.get, Future.result)
)
"""The files of the functions of Python that wait for threads."""


class BlockedLoopWatch:
    """Watches a loop for the current thread. `is_deadlock` must be called every `CHECK_EVERY_S`."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop, self._work = loop, CURRENT_WORK.get()
        self._response = threading.Event()
        self._checked_at: float | None = None
        self._blocked_s = 0.0
        """Seconds in which this thread could execute: none of those for which the process was suspended."""

    def is_deadlock(self) -> bool:
        """Whether the loop has not responded for seconds, and is blocked by code of the run that the thread works
        for."""
        now = time.monotonic()
        if self._checked_at is None or self._response.is_set():
            self._response.clear()
            self._checked_at, self._blocked_s = now, 0.0
            self._loop.call_soon_threadsafe(self._response.set)
            return False
        self._blocked_s += min(now - self._checked_at, 2 * CHECK_EVERY_S)
        self._checked_at = now
        if self._blocked_s < WAITS_FOR_THREAD_S:
            return False
        task = asyncio.current_task(self._loop)
        if task is None or context_of(task).get(CURRENT_WORK) is not self._work:
            return False  # another run blocks the loop, and will end
        return self._blocked_s >= BLOCKED_S or _waits_for_a_thread(task)


def context_of(task: asyncio.Task[Any]) -> Context:
    """The context of a task, also in another thread. It cannot be entered while the task executes; a copy can."""
    if sys.version_info >= (3, 12):
        return task.get_context()
    # Python 3.11 has no function for it. The context of the task comes before those of its callbacks
    return next((each for each in gc.get_referents(task) if isinstance(each, Context)), Context())


def _waits_for_a_thread(task: asyncio.Task[Any]) -> bool:
    """Whether the innermost function that the task executes waits for another thread."""
    outermost = getattr(task.get_coro(), "cr_frame", None)
    for innermost in list(sys._current_frames().values()):
        frame: FrameType | None = innermost
        while frame is not None and frame is not outermost:
            frame = frame.f_back
        if frame is not None:
            return innermost.f_code.co_filename in _WAITING
    return False
