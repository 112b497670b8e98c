"""Copies switches, rollouts, versions and webhook endpoints to the shards that lack changes: whoever has made a change
has died before all shards had it, or a shard could not be reached.

Interval: `reap_every_s`.
Who: one worker at a time; nobody if there is one shard.
Logs: `shared_records.unreachable`, with the numbers of the shards that could not be reached, whenever these are others
than in the round before.
"""

from __future__ import annotations

from collections.abc import Sequence

import structlog

from slipway.duties.exclusive_duty import ExclusiveDuty
from slipway.redis.shared_records import SharedRecords as Copies
from slipway.services import Services

log = structlog.get_logger(__name__)


class SharedRecords(ExclusiveDuty):
    """One round copies all changes."""

    name = "shared_records"

    def __init__(self, services: Services) -> None:
        super().__init__(services, services.settings.reap_every_s)
        self._has_copies = services.shards.tagged
        self._copies = Copies(services.pipeline, services.shards)
        self._unreachable: Sequence[int] = ()

    async def may_run(self) -> bool:
        return self._has_copies and await super().may_run()

    async def run_once(self) -> Sequence[int]:
        """Returns the numbers of the shards that could not be reached."""
        before, self._unreachable = self._unreachable, await self._copies.copy()
        if self._unreachable and self._unreachable != before:
            log.warning("shared_records.unreachable", shards=[str(number) for number in self._unreachable])
        return self._unreachable
