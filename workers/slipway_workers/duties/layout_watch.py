"""Ends a worker whose release is older than the data: a later release has raised the layout version.

Interval: `heartbeat_s`.
Who: every worker, for itself. When the layout is newer the duty finishes, and then the worker drains and exits.
Logs: `layout.too_new`, once.
"""

from __future__ import annotations

import structlog

from slipway.duties.duty import Duty
from slipway.redis.layout import LayoutRecord
from slipway.services import Services

log = structlog.get_logger(__name__)


class LayoutWatch(Duty):
    """One round compares the layout of the data with that of this release."""

    name = "layout_watch"

    def __init__(self, services: Services) -> None:
        super().__init__(services.settings.heartbeat_s)
        self._layout = LayoutRecord(services.pipeline, services.shards)

    async def run_once(self) -> None:
        problem = await self._layout.problem()
        if problem is not None:
            self.finished = True
            log.error("layout.too_new", problem=problem, consequence="this worker claims nothing more and exits")
