"""Duties: work that a process repeats beside its requests and runs, in rounds.

A duty is a subclass of `Duty` in a file of its own. Its module docstring says, in this order: what one round does, at
which interval, which processes may do it, and what it logs. The duties of workers are in `slipway_workers/duties/`, and
`slipway_workers/process.py` lists them; a web process has one, `slipway.api.host_app.internal_webhooks`.

A failed round never ends the process. It is logged as `duty.skipped` (Redis is unavailable) or `duty.failed` (anything
else), and the next round follows at its time.
"""

from __future__ import annotations

import asyncio
import time
from abc import ABC, abstractmethod
from contextlib import suppress
from typing import ClassVar

import structlog

from slipway.errors import StoreUnavailable

log = structlog.get_logger(__name__)


class Duty(ABC):
    """One duty of one process."""

    name: ClassVar[str]
    """Names the duty in the log."""

    def __init__(self, interval_s: float) -> None:
        self.interval_s = interval_s
        self.failed_at: float | None = None
        """When the last round that failed ended, in seconds of the monotonic clock."""
        self.finished = False
        """Whether a round has found that no further round is needed in this process."""
        self._run_soon = asyncio.Event()

    @abstractmethod
    async def run_once(self) -> object:
        """Does the work of one round. Tests call it directly; what it returns is for them."""

    async def run(self) -> None:
        """Repeats rounds until the duty is finished, or until cancelled."""
        while not self.finished:
            await self._pause()
            await self.run_round()

    async def run_round(self) -> bool:
        """Runs one round if this process may. Returns False if it may not, or if the round failed, which is logged."""
        try:
            if not await self.may_run():
                return False
            await self.run_once()
        except StoreUnavailable as error:
            log.warning("duty.skipped", duty=self.name, problem=str(error))
        except Exception:
            log.exception("duty.failed", duty=self.name)
        else:
            return True
        self.failed_at = time.monotonic()
        return False

    async def may_run(self) -> bool:
        """Whether this process may run the round that is due."""
        return True

    def next_round_in_s(self) -> float:
        """Seconds until the next round."""
        return self.interval_s

    def run_soon(self) -> None:
        """Starts the next round at once, or, if a round is running, when it has ended."""
        self._run_soon.set()

    async def _pause(self) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(self.next_round_in_s()):
                await self._run_soon.wait()
        self._run_soon.clear()
