"""Keeps exceptions of a graph from ending the process that executes it.

If a task raises `SystemExit` or `KeyboardInterrupt`, asyncio ends the event loop: a node that calls `sys.exit()` would
end the worker and all of its runs. LangGraph reads the class and the truth value of exceptions, and fails in unexpected
ways if the class of an exception makes these raise, or return false answers. So every task that is created in a run, by
LangGraph or by a node, replaces such an exception with `GraphRaised`, an ordinary error.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable, Coroutine, Generator
from contextvars import ContextVar
from types import TracebackType
from typing import Any, Final

from slipway.exception_text import is_a
from slipway.shown_exceptions import public_repr

_LOOP_STOPPING_ERRORS: Final = (SystemExit, KeyboardInterrupt)

_inside_a_run: ContextVar[bool] = ContextVar("inside_a_run", default=False)


class GraphRaised(RuntimeError):
    """Replaces an exception that the graph raised (`raised`), and shows only what clients may receive of it. It is a
    `RuntimeError`, which LangGraph's default retry policy does not retry."""

    def __init__(self, raised: BaseException) -> None:
        super().__init__(public_repr(raised))
        self.raised = raised

    def __repr__(self) -> str:
        return str(self)


def contain_errors() -> None:
    """From now on, exceptions are contained in all tasks that are created in the current context."""
    _inside_a_run.set(True)
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
            coro = _ContainedCoroutine(coro)
        if self._before is not None:
            return self._before(loop, coro, **kwargs)
        return asyncio.Task(coro, loop=loop, **kwargs)


class _ContainedCoroutine(Coroutine[Any, Any, Any]):
    """A coroutine that never raises an exception that would end the event loop. It is not an `async def` function, so
    that closing it before it has started also closes the coroutine inside it."""

    __slots__ = ("_coro",)

    def __init__(self, coro: Coroutine[Any, Any, Any]) -> None:
        self._coro = coro

    def send(self, value: Any) -> Any:
        try:
            return self._coro.send(value)
        except StopIteration:  # the coroutine has returned
            raise
        except BaseException as error:
            if _is_ordinary(error):
                raise
            raise GraphRaised(error) from None

    def throw(self, kind: Any, value: Any = None, trace: TracebackType | None = None) -> Any:
        try:
            return self._coro.throw(kind) if value is None and trace is None else self._coro.throw(kind, value, trace)
        except BaseException as error:
            if _is_ordinary(error):
                raise
            raise GraphRaised(error) from None

    def close(self) -> None:
        self._coro.close()

    def __await__(self) -> Generator[Any, Any, Any]:
        return self._coro.__await__()

    def __getattr__(self, name: str) -> Any:
        """`cr_frame` and similar attributes, for tools that show which line a task executes."""
        return getattr(self._coro, name)


def _is_ordinary(error: BaseException) -> bool:
    return not is_a(error, _LOOP_STOPPING_ERRORS) and not _has_hostile_class(error)


def _has_hostile_class(error: BaseException) -> bool:
    """Whether reading the class or the truth value of the exception, as LangGraph does, raises or returns a false
    answer."""
    try:
        return error.__class__ is not type(error) or not error
    except BaseException:
        return True
