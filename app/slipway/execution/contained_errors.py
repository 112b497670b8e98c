"""What a graph raises ends its run, not the process that executes it: also `sys.exit()`.

asyncio lets `SystemExit` and `KeyboardInterrupt` out of any task, through the event loop: one node that calls
`sys.exit()` would end the worker, and with it all other runs there. LangGraph asks an exception for its class and its
truth, and comes to grief where either raises or lies. So every task that is created inside a run, by LangGraph or by a
node, turns such an exception into `GraphRaised`, an ordinary error.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable, Coroutine, Generator
from contextvars import ContextVar
from types import TracebackType
from typing import Any, Final

from slipway.exception_text import is_a, repr_of

_LOOP_STOPPING_ERRORS: Final = (SystemExit, KeyboardInterrupt)

_inside_a_run: ContextVar[bool] = ContextVar("inside_a_run", default=False)


class GraphRaised(RuntimeError):
    """`raised` is what the graph raised. A retry policy that leaves bugs alone does not retry it."""

    def __init__(self, raised: BaseException) -> None:
        super().__init__(repr_of(raised))
        self.raised = raised

    def __repr__(self) -> str:
        return str(self)


def contain_errors() -> None:
    """Contain what is raised in the tasks that are created from now on in the present context."""
    _inside_a_run.set(True)
    loop = asyncio.get_running_loop()
    factory = loop.get_task_factory()
    if not isinstance(factory, _TaskFactory):
        loop.set_task_factory(_TaskFactory(factory))


class _TaskFactory:
    """Makes the tasks of an event loop, in the way in which they were made before."""

    def __init__(self, before: Callable[..., Any] | None) -> None:
        self._before = before

    def __call__(self, loop: asyncio.AbstractEventLoop, coro: Any, **kwargs: Any) -> Any:
        if _inside_a_run.get() and inspect.iscoroutine(coro):
            coro = _ContainedCoroutine(coro)
        if self._before is not None:
            return self._before(loop, coro, **kwargs)
        return asyncio.Task(coro, loop=loop, **kwargs)


class _ContainedCoroutine(Coroutine[Any, Any, Any]):
    """A coroutine that never raises what would end the event loop. It is an object and no `async def`, so that one that
    is never started closes what it holds."""

    __slots__ = ("_coro",)

    def __init__(self, coro: Coroutine[Any, Any, Any]) -> None:
        self._coro = coro

    def send(self, value: Any) -> Any:
        try:
            return self._coro.send(value)
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
        """`cr_frame` and the like, for tools that show where a task is."""
        return getattr(self._coro, name)


def _is_ordinary(error: BaseException) -> bool:
    return not is_a(error, _LOOP_STOPPING_ERRORS) and not _has_hostile_class(error)


def _has_hostile_class(error: BaseException) -> bool:
    """Whether its class or its truth, for which LangGraph asks every exception, raises or lies."""
    try:
        return error.__class__ is not type(error) or not error
    except BaseException:
        return True
