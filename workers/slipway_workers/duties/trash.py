"""Deletes the checkpoints of deleted threads. A thread is deleted by one script. Its checkpoints, which may be many,
are then in the trash, and are deleted here.

Interval: `reap_every_s`.
Who: every worker; deleting the same leftovers twice changes nothing.
Logs: `trash.delete_failed` for a thread whose checkpoints cannot be deleted (`slipway.checkpoints.trash`).
"""

from __future__ import annotations

from slipway.duties.duty import Duty
from slipway.services import Services


class TrashCollector(Duty):
    """One round deletes the leftovers of some threads, those that were deleted first."""

    name = "trash"

    def __init__(self, services: Services) -> None:
        super().__init__(services.settings.reap_every_s)
        self._trash = services.trash

    async def run_once(self) -> None:
        await self._trash.empty()
