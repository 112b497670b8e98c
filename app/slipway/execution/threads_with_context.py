"""Threads that a graph starts carry the context of the code that starts them.

Without it, a node that calls models or tools in threads of its own, as many graphs do with a `ThreadPoolExecutor`,
would call them outside of its run: nothing could count the calls, and no grant could permit them. Python 3.14 has the
same behaviour as an option (`-X thread_inherit_context`). Threads that the process itself starts are not changed.
"""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from contextvars import Context, copy_context
from functools import partial, wraps
from typing import Any, Final

from slipway.runs.current_attempt import CURRENT_ATTEMPT

_START: Final[Any] = threading.Thread.start
_SUBMIT: Final[Any] = ThreadPoolExecutor.submit


def carry_context_into_threads() -> None:
    """From now on, threads that are started in a run, and functions that are submitted to pools of threads there, are
    executed in a copy of the current context. A repeated call does nothing."""
    if threading.Thread.start is _START:
        setattr(threading.Thread, "start", _start)  # noqa: B010  mypy knows no replaced method
        setattr(ThreadPoolExecutor, "submit", _submit)  # noqa: B010


@wraps(_START)
def _start(thread: threading.Thread) -> None:
    if CURRENT_ATTEMPT.get() is not None:
        setattr(thread, "run", partial(copy_context().run, thread.run))  # noqa: B010
    _START(thread)


@wraps(_SUBMIT)
def _submit(pool: ThreadPoolExecutor, function: Any, /, *args: Any, **kwargs: Any) -> Any:
    if CURRENT_ATTEMPT.get() is None:
        return _SUBMIT(pool, function, *args, **kwargs)
    # the pool may start a thread now, which later executes functions of other runs: it must not keep this context
    return Context().run(_SUBMIT, pool, copy_context().run, function, *args, **kwargs)
