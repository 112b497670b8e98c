"""Tells webhook endpoints of the new states of budgets, if the process that reserved in them has died before it did, or
if nobody was subscribed then.

Interval: `reap_every_s`.
Who: every worker; each event is told once.
Logs: nothing of its own.
"""

from __future__ import annotations

from slipway.duties.duty import Duty
from slipway.services import Services


class BudgetEvents(Duty):
    """One round tells everything that is to be told."""

    name = "budget_events"

    def __init__(self, services: Services) -> None:
        super().__init__(services.settings.reap_every_s)
        self._budgets = services.budgets

    async def run_once(self) -> int:
        """Returns how many events were told."""
        return await self._budgets.tell()
