"""Calls from threads: the gateway works on the event loop of the process, and a tool that is a plain function is
executed in the thread that called it, which waits meanwhile."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable, Coroutine
from concurrent.futures import Future
from contextvars import copy_context
from queue import Empty, SimpleQueue
from typing import Any, Generic, TypeVar

from slipway.blocked_loop import BLOCKED_LOOP, CHECK_EVERY_S, BlockedLoopWatch
from slipway.errors import ToolFailed, ToolRefused

T = TypeVar("T")

Act = Callable[[Callable[[], Any]], Awaitable[Any]]
"""Executes a plain function in a thread, and returns what it returns."""


def call_from_thread(
    tool: str,
    loop: asyncio.AbstractEventLoop,
    work: Callable[[Act], Coroutine[Any, Any, T]],
    on_event_loop: Callable[[], Exception],
) -> T:
    """Executes `work` on `loop`, and blocks this thread until it ends. What `work` passes to its argument is executed
    in this thread. Raises the exception of `on_event_loop` if this thread runs an event loop, which would stop, and
    `ToolRefused` or `ToolFailed` if `loop` is blocked by code that waits for this thread."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        pass
    else:
        raise on_event_loop()
    steps: SimpleQueue[tuple[Callable[[], Any], Future[Any]] | None] = SimpleQueue()

    async def act(function: Callable[[], Any]) -> Any:
        future: Future[Any] = Future()
        steps.put((function, future))
        return await asyncio.wrap_future(future)

    watch, call = BlockedLoopWatch(loop), _Call(tool, loop, lambda: work(act))
    call.result.add_done_callback(lambda _: steps.put(None))
    while True:
        try:
            step = steps.get(timeout=CHECK_EVERY_S)
        except Empty:
            if watch.is_deadlock():
                raise call.given_up() from None
            continue
        if step is None:
            return call.result.result()
        _execute(*step)


async def call_on_loop(tool: str, loop: asyncio.AbstractEventLoop, work: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """Executes `work` on `loop`, from this event loop or from one in another thread. Raises as `call_from_thread`."""
    if asyncio.get_running_loop() is loop:
        return await work()
    watch, call = BlockedLoopWatch(loop), _Call(tool, loop, work)
    result = asyncio.wrap_future(call.result)
    try:
        while not (await asyncio.wait([result], timeout=CHECK_EVERY_S))[0]:
            if watch.is_deadlock():
                raise call.given_up()
    finally:
        result.cancel()  # does nothing if it has ended
    return result.result()


class _Call(Generic[T]):
    """A call on the event loop, for which a thread waits."""

    def __init__(self, tool: str, loop: asyncio.AbstractEventLoop, work: Callable[[], Coroutine[Any, Any, T]]) -> None:
        self._tool, self._work = tool, work
        self._beginning: Future[None] = Future()
        self.result = asyncio.run_coroutine_threadsafe(self._begin(), loop)

    async def _begin(self) -> T:
        if not self._beginning.set_running_or_notify_cancel():
            raise asyncio.CancelledError
        return await self._work()

    def given_up(self) -> ToolRefused | ToolFailed:
        """Ends the call. Returns the exception for the thread."""
        begins_no_more = self._beginning.cancel()
        self.result.cancel()
        problem = (
            f"tool {self._tool!r} was called in a thread, and {BLOCKED_LOOP}: await tool.ainvoke(...), "
            "tool.abatch(...) or asyncio.to_thread(...) instead"
        )
        if begins_no_more:
            return ToolRefused(problem, self._tool)
        return ToolFailed(f"{problem}. Whether the tool has had its effect is not known", self._tool)


async def act_in_new_thread(function: Callable[[], Any]) -> Any:
    """Executes a plain function in a thread of its own, with the context of the caller. A caller that stops waiting
    leaves the thread behind, because Python cannot end one."""
    future: Future[Any] = Future()
    context = copy_context()
    threading.Thread(target=lambda: context.run(_execute, function, future), name="slipway tool", daemon=True).start()
    return await asyncio.wrap_future(future)


def _execute(function: Callable[[], Any], future: Future[Any]) -> None:
    if not future.set_running_or_notify_cancel():
        return
    try:
        result = function()
    except BaseException as error:  # including `SystemExit`: the caller handles it
        future.set_exception(error)
    else:
        future.set_result(result)
