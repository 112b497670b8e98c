"""Lets tools that write end although the tasks of their nodes are cancelled: because another task of the superstep has
failed, the run is cancelled, or a ceiling of seconds is reached. Whether a tool that is interrupted has had its effect
is not known, so the call would be made again."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any, Final

FINISH_WITHIN_S: Final = 3.0
"""How long a tool may continue after a cancellation. Less than the time after which a supervisor kills a process that
does not exit."""


class FinishingTools:
    """The tools of an attempt that write and are executed now. They are interrupted at once if `may_finish` returns
    false, because the attempt no longer owns its run."""

    def __init__(self, may_finish: Callable[[], bool]) -> None:
        self._may_finish = may_finish
        self._executed: dict[str, asyncio.Task[Any]] = {}
        """By the keys of the calls."""

    async def execute(self, key: str, work: Coroutine[Any, Any, Any]) -> Any:
        """What `work` returns or raises: it executes a tool, and stores how it ended. If this is cancelled, it raises
        `CancelledError` when that is stored."""
        executed = self._executed[key] = asyncio.create_task(work)
        executed.add_done_callback(lambda _: self._executed.pop(key))
        try:
            return await asyncio.shield(executed)
        except asyncio.CancelledError:
            await self._let_end(executed)
            raise

    async def ended(self, key: str) -> None:
        """Returns when the tool of this call is not executed, so that a retry of its node gets the result: LangGraph
        executes a node that took too long again, and does not wait for the tasks that it cancels."""
        if key in self._executed:
            await asyncio.wait([self._executed[key]])

    async def all_ended(self) -> None:
        """Returns when it is stored how all of them ended: LangGraph does not wait for the tasks that it cancels."""
        if self._executed:
            await asyncio.wait(self._executed.values(), timeout=FINISH_WITHIN_S + 1)

    async def _let_end(self, executed: asyncio.Task[Any]) -> None:
        """Waits until the tool has ended, and interrupts it if it may not finish or takes too long. LangGraph cancels a
        task twice, so further cancellations do not end the wait."""
        ends_at = asyncio.get_running_loop().time() + FINISH_WITHIN_S
        while not executed.done() and self._may_finish():
            remaining_s = ends_at - asyncio.get_running_loop().time()
            if remaining_s <= 0:
                break
            with suppress(asyncio.CancelledError):
                await asyncio.wait([executed], timeout=remaining_s)
        executed.cancel()
        if executed.done() and not executed.cancelled():
            executed.exception()  # nobody waits for it any more
