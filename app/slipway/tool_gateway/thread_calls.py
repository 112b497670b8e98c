"""Calls from threads: the gateway works on the event loop of the process, and a tool that is a plain function is
executed in the thread that called it, which waits meanwhile."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable, Coroutine
from concurrent.futures import Future
from contextvars import copy_context
from queue import SimpleQueue
from typing import Any, TypeVar

T = TypeVar("T")

Act = Callable[[Callable[[], Any]], Awaitable[Any]]
"""Executes a plain function in a thread, and returns what it returns."""


def call_from_thread(
    loop: asyncio.AbstractEventLoop,
    work: Callable[[Act], Coroutine[Any, Any, T]],
    on_event_loop: Callable[[], Exception],
) -> T:
    """Executes `work` on `loop`, and blocks this thread until it ends. What `work` passes to its argument is executed
    in this thread. Raises the exception of `on_event_loop` if this thread runs an event loop, which would stop."""
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

    result = asyncio.run_coroutine_threadsafe(work(act), loop)
    result.add_done_callback(lambda _: steps.put(None))
    while (step := steps.get()) is not None:
        _execute(*step)
    return result.result()


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
