"""Continues exchanges of slots of concurrency groups between shards of threads, if the worker that began one has died
or could not reach a shard.

Interval: 1 s. With one shard of threads, there is nothing to do.
Who: one worker at a time.
Logs: nothing.
"""

from __future__ import annotations

from typing import Final

from slipway.duties.exclusive_duty import ExclusiveDuty
from slipway.runs.group_exchange import GroupExchange
from slipway.services import Services

INTERVAL_S: Final = 1.0


class GroupSlots(ExclusiveDuty):
    """One round continues all exchanges that nobody has continued for a second."""

    name = "group_slots"

    def __init__(self, services: Services) -> None:
        super().__init__(services, INTERVAL_S)
        self._exchange = GroupExchange(services.pipeline, services.shards)
        self._is_shared = services.shards.count > 1

    async def run_once(self) -> None:
        if self._is_shared:
            await self._exchange.continue_exchanges()
