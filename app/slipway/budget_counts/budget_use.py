"""What owners and graphs have used of their budgets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from slipway.accounting.metered_usage import NANO
from slipway.budget_counts.scripts import BudgetScripts
from slipway.budgets import COUNTED, Budgets, Period

MOST_BUDGETS: Final = 1000
"""The most budgets that one read returns."""


@dataclass(frozen=True, slots=True)
class BudgetUse:
    """What was used of the budget of one owner or graph in its current period. Calls that have not ended count with the
    most that they may use. Money is in dollars."""

    scope: str
    """`owner` or `graph`."""
    name: str
    period: str
    """`day` or `month`."""
    first_day: str
    resets_at: str
    used: Mapping[str, float]
    limits: Mapping[str, float]

    def public(self) -> dict[str, Any]:
        """As clients receive it."""
        return {
            "scope": f"{self.scope}/{self.period}",
            "name": self.name,
            "first_day": self.first_day,
            "resets_at": self.resets_at,
            "used": dict(self.used),
            "limits": dict(self.limits),
        }


async def budgets_in_use(scripts: BudgetScripts, budgets: Budgets, limit: int = MOST_BUDGETS) -> Sequence[BudgetUse]:
    """The budgets of which something was used, the period that ends first before all others. One round trip."""
    return [_use_of(budget_id, fields, budgets) for budget_id, fields in await scripts.read(limit)]


def _use_of(budget_id: str, fields: Mapping[str, bytes], budgets: Budgets) -> BudgetUse:
    scope, period, first_day, name = budget_id.split("|", 3)
    used = {counted: int(fields[counted]) for counted in COUNTED if counted in fields}
    shown: dict[str, float] = {
        counted: round(amount / NANO, 9) if counted == "cost_usd" else amount for counted, amount in used.items()
    }
    resets_at = Period.of(period, first_day).resets_at
    return BudgetUse(scope, name, period, first_day, resets_at, shown, budgets.limits_of(scope, name, period))
