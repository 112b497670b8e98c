"""Keeps exceptions of a graph from ending the process that executes it.

If a task raises `SystemExit` or `KeyboardInterrupt`, asyncio ends the event loop: a node that calls `sys.exit()` would
end the worker and all of its runs. LangGraph reads the class and the truth value of exceptions, and fails in unexpected
ways if the class of an exception makes these raise, or return false answers. So every task that is created in a run, by
LangGraph or by a node, replaces such an exception with `GraphRaised`, an ordinary error.
"""

from __future__ import annotations

import asyncio
import inspect
import types
from collections.abc import Callable, Coroutine, Generator
from contextvars import ContextVar
from typing import Any, Final, cast

from langchain_core.callbacks.manager import AsyncCallbackManagerForChainRun

from slipway.exception_text import is_a
from slipway.metering.callback_handler import MeteringHandler
from slipway.shown_exceptions import public_repr

_LOOP_STOPPING_ERRORS: Final = (SystemExit, KeyboardInterrupt)

_inside_a_run: ContextVar[bool] = ContextVar("inside_a_run", default=False)
_omits_empty_tasks: ContextVar[bool] = ContextVar("omits_empty_tasks", default=False)


class GraphRaised(RuntimeError):
    """Replaces an exception that the graph raised (`raised`), and shows only what clients may receive of it. It is a
    `RuntimeError`, which LangGraph's default retry policy does not retry."""

    def __init__(self, raised: BaseException) -> None:
        super().__init__(public_repr(raised))
        self.raised = raised

    def __repr__(self) -> str:
        return str(self)


def contain_errors(*, omit_empty_tasks: bool = False) -> None:
    """From now on, exceptions are contained in all tasks that are created in the current context. With
    `omit_empty_tasks`, no task is created for the end of a chain if no callback handler wants to know of it. That must
    not be omitted where the chunks of subgraphs are streamed: they arrive some event loop iterations late, and the end
    of a subgraph must not overtake them."""
    _inside_a_run.set(True)
    _omits_empty_tasks.set(omit_empty_tasks)
    loop = asyncio.get_running_loop()
    factory = loop.get_task_factory()
    if not isinstance(factory, _TaskFactory):
        loop.set_task_factory(_TaskFactory(factory))


class _TaskFactory:
    """Creates the tasks of an event loop with its previous task factory (`before`), or as asyncio does without one."""

    def __init__(self, before: Callable[..., Any] | None) -> None:
        self._before = before

    def __call__(self, loop: asyncio.AbstractEventLoop, coro: Any, **kwargs: Any) -> Any:
        if _inside_a_run.get() and inspect.iscoroutine(coro):
            if coro.cr_code is _END_OF_CHAIN and _omits_empty_tasks.get() and not _has_handlers(coro):
                coro.close()
                return _EndedTask(loop)
            coro = _started(coro)
        if self._before is not None:
            return self._before(loop, coro, **kwargs)
        return asyncio.Task(coro, loop=loop, **kwargs)


_END_OF_CHAIN: Final = inspect.unwrap(AsyncCallbackManagerForChainRun.on_chain_end).__code__
"""LangChain executes this in a task of its own for each node and each edge, to protect callback handlers from being
cancelled. Without a handler that wants to know of it, it does nothing, but the task costs as much as the fifth part of
Slipway's own work for a superstep."""


def _has_handlers(end_of_chain: types.CoroutineType[Any, Any, Any]) -> bool:
    """Whether a callback handler wants to know of the end of chains. That of the meter does not."""
    handlers = cast("list[Any]", inspect.getcoroutinelocals(end_of_chain)["self"].handlers)
    if not handlers:
        return False
    return len(handlers) > 1 or type(handlers[0]) is not MeteringHandler


class _EndedTask(asyncio.Future[None]):
    """Takes the place of a task that has nothing to do."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(loop=loop)
        self.set_result(None)

    def set_name(self, name: object) -> None:
        """Event loops set the name of each task."""


def _started(coro: types.CoroutineType[Any, Any, Any]) -> Coroutine[Any, Any, Any]:
    """A coroutine that awaits `coro`, and never raises an exception that would end the event loop. It has been started
    already, so that `coro` is closed if the task is cancelled before its first step."""
    contained = cast("types.CoroutineType[Any, Any, Any]", _contained(coro))
    contained.__qualname__ = coro.__qualname__
    contained.send(None)
    return contained


async def _contained(coro: Coroutine[Any, Any, Any]) -> Any:
    try:
        await _first_step()
        return await coro
    except BaseException as error:
        coro.close()
        if _is_ordinary(error):
            raise
        raise GraphRaised(error) from None


@types.coroutine
def _first_step() -> Generator[None, None, None]:
    """Returns when the task executes its first step."""
    yield


def _is_ordinary(error: BaseException) -> bool:
    return not is_a(error, _LOOP_STOPPING_ERRORS) and not _has_hostile_class(error)


def _has_hostile_class(error: BaseException) -> bool:
    """Whether reading the class or the truth value of the exception, as LangGraph does, raises or returns a false
    answer."""
    try:
        return error.__class__ is not type(error) or not error
    except BaseException:
        return True
