"""The base of all duties: work that a process repeats at an interval, in rounds, in addition to its requests and runs.

A duty is a subclass of `Duty` in a separate file. The docstring of the file says, in this order: what one round does,
the interval, which processes may perform the duty, and what it logs. The duties of workers are in
`slipway_workers/duties/`, and `slipway_workers/process.py` lists them. Web processes perform one duty,
`slipway.api.host_app.internal_webhooks`.

A failed round never ends the process. It is logged as `duty.skipped` (Redis is unavailable) or `duty.failed` (any other
error), and the next round follows after the interval.
"""

from __future__ import annotations

import asyncio
import time
from abc import ABC, abstractmethod
from contextlib import suppress
from typing import ClassVar

import structlog

from slipway.errors import StoreUnavailable
from slipway.exception_text import class_name, message_of

log = structlog.get_logger(__name__)


class Duty(ABC):
    """The base of all duties. `ExclusiveDuty` of the workers is for those that one worker at a time performs."""

    name: ClassVar[str]
    """The name of the duty in the log. It is the name of its file."""

    def __init__(self, interval_s: float) -> None:
        self.interval_s = interval_s
        self.failed_at: float | None = None
        """The time (monotonic clock, s) when the last failed round ended. None if no round has failed."""
        self.finished = False
        """Whether this process needs no further round. A round sets it."""
        self._run_soon = asyncio.Event()
        self._fault = ""
        """What the last round raised. Empty if it raised nothing."""

    @abstractmethod
    async def run_once(self) -> object:
        """Executes one round. Only tests call it directly and use its result."""

    async def run(self) -> None:
        """Repeats rounds until the duty is finished or this task is cancelled, and then closes the duty."""
        try:
            while not self.finished:
                await self._pause()
                await self.run_round()
        finally:
            await self.close()

    async def run_round(self) -> bool:
        """Executes one round, if `may_run`. Returns False if not, or if the round failed; a failure is logged."""
        try:
            if not await self.may_run():
                return False
            await self.run_once()
        except StoreUnavailable as error:
            log.warning("duty.skipped", duty=self.name, problem=str(error))
        except Exception as error:
            self._log_fault(error)
        else:
            self._fault = ""
            return True
        self.failed_at = time.monotonic()
        return False

    def _log_fault(self, error: Exception) -> None:
        """The same fault in the next round is logged without its traceback."""
        before, self._fault = self._fault, f"{class_name(error)}: {message_of(error)}"
        log.error("duty.failed", duty=self.name, problem=self._fault, exc_info=None if self._fault == before else error)

    async def close(self) -> None:  # noqa: B027 (most duties have nothing to end)
        """Ends what rounds have started and closes what stays open between rounds. `run` calls it at its end."""

    async def may_run(self) -> bool:
        """Whether this process may execute the round that is due."""
        return True

    def next_round_in_s(self) -> float:
        """Seconds until the next round."""
        return self.interval_s

    def run_soon(self) -> None:
        """Starts the next round at once or, if a round is in progress, when that round has ended."""
        self._run_soon.set()

    async def _pause(self) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(self.next_round_in_s()):
                await self._run_soon.wait()
        self._run_soon.clear()
