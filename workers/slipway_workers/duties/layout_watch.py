"""Ends a worker whose release is older than the data: a later release has raised the layout version of the store.

Interval: `heartbeat_s`.
Who: every worker, for itself. The duty returns, and a worker whose duty has returned drains and exits.
Logs: `layout.too_new`, once.
"""

from __future__ import annotations

import structlog

from slipway.duties import Duty
from slipway.redis.layout import LayoutRecord
from slipway.services import Services

log = structlog.get_logger(__name__)


class LayoutWatch(Duty):
    """One round compares the layout of the store with that of this release."""

    name = "layout watch"

    def __init__(self, services: Services) -> None:
        super().__init__(services.settings.heartbeat_s)
        self._layout = LayoutRecord(services.pipeline, services.keys)
        self._problem: str | None = None

    async def run_once(self) -> str | None:
        """Why this process must not use the store any more; None if it may."""
        self._problem = await self._layout.problem()
        return self._problem

    async def run(self) -> None:
        """Repeats rounds until a later release has raised the layout, or until cancelled."""
        while self._problem is None:
            await self._pause()
            await self.run_round()
        log.error("layout.too_new", problem=self._problem, consequence="this worker claims nothing more and exits")
