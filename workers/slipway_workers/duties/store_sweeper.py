"""Deletes items of the long-term store whose time to live has ended. Readers no longer receive such items; a round
frees their memory.

Interval: `store.ttl.sweep_interval_minutes` of langgraph.json.
Who: every worker; deleting an item twice changes nothing.
Logs: `store.swept` with the number of items, if there were any.
"""

from __future__ import annotations

import structlog

from slipway.duties.duty import Duty
from slipway.services import Services

log = structlog.get_logger(__name__)


class StoreSweeper(Duty):
    """One round deletes all items whose time to live has ended."""

    name = "store_sweeper"

    def __init__(self, services: Services) -> None:
        super().__init__(services.config.store.ttl.sweep_interval_minutes * 60)
        self._store = services.store

    async def run_once(self) -> None:
        if items := await self._store.sweep():
            log.info("store.swept", items=items)
