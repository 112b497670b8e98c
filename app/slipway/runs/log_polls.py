"""Finds events whose notification was lost, in all event logs that a process follows.

One script call looks at a hundred logs: with a timer and a read for each, the idle clients of many web processes would
be most of the work of Redis."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from itertools import takewhile
from typing import Final

from slipway.errors import StoreUnavailable

POLL_S: Final = 15.0
"""Interval in seconds at which each followed log is looked at, even if no notification was received."""
LOGS_OF_A_LOOK: Final = 100
_TIMER_SLACK_S: Final = 0.5
"""Logs that are due within this time are looked at together."""

Look = Callable[[Sequence[str]], Awaitable[None]]
"""Looks at the logs of these runs."""


class LogPolls:
    """Calls `look` for each run that was added, every `POLL_S` seconds until it is removed."""

    def __init__(self, look: Look) -> None:
        self._look = look
        self._due_s: dict[str, float] = {}
        """By run, in this order: each run has the same interval, and moves to the end when it is looked at."""
        self._timer: asyncio.TimerHandle | None = None
        self._looking: asyncio.Task[None] | None = None

    def add(self, run_id: str) -> None:
        """The first look follows after one interval. Does nothing for a run that was added before."""
        if run_id not in self._due_s:
            self._due_s[run_id] = asyncio.get_running_loop().time() + POLL_S
            self._start_timer()

    def remove(self, run_id: str) -> None:
        """No look starts for the run any more. A timer for it may remain; it finds nothing."""
        self._due_s.pop(run_id, None)

    def _start_timer(self) -> None:
        if self._timer is None and self._looking is None and self._due_s:
            first_s = next(iter(self._due_s.values()))
            self._timer = asyncio.get_running_loop().call_at(first_s, self._on_timer)

    def _on_timer(self) -> None:
        self._timer = None
        if due := self._take_due():
            self._looking = asyncio.create_task(self._look_at(due), name="poll event logs")
            self._looking.add_done_callback(self._on_end)
        else:
            self._start_timer()

    def _take_due(self) -> list[str]:
        now_s = asyncio.get_running_loop().time()
        due = [run_id for run_id, _ in takewhile(lambda each: each[1] <= now_s + _TIMER_SLACK_S, self._due_s.items())]
        for run_id in due:
            del self._due_s[run_id]
            self._due_s[run_id] = now_s + POLL_S
        return due

    async def _look_at(self, run_ids: Sequence[str]) -> None:
        for first in range(0, len(run_ids), LOGS_OF_A_LOOK):
            with suppress(StoreUnavailable):
                await self._look(run_ids[first : first + LOGS_OF_A_LOOK])

    def _on_end(self, looking: asyncio.Task[None]) -> None:
        self._looking = None
        if not looking.cancelled():
            self._start_timer()
