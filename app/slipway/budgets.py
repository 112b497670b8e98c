"""Budgets: what all runs of one owner or of one graph may use in a day or a month, in UTC.

`slipway.budgets` in langgraph.json sets them. One script counts a call in all budgets of its run, before it is made
(`redis/lua/budget_reserve.lua`), so two workers never use the same rest of a budget.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final, Literal

from slipway.accounting.metered_usage import NANO
from slipway.clock import Clock
from slipway.errors import CeilingHit
from slipway.graphs.metering_sections import BudgetPeriods, BudgetsSection

Counted = Literal["tokens", "cost_usd", "tool_calls", "runs"]

COUNTED: Final[tuple[Counted, ...]] = ("tokens", "cost_usd", "tool_calls", "runs")

BudgetEntry = tuple[str, str, int, int, int]
"""What a script adds to a budget: the id of the budget, its field, the amount, the limit, the end of the period in ms.
Money is in nano-dollars."""


@dataclass(frozen=True, slots=True)
class Period:
    """A day or a month in UTC."""

    name: str
    """`day` or `month`."""
    first_day: str
    """As ISO 8601."""
    ends_at: datetime

    @classmethod
    def of(cls, name: str, first_day: str) -> Period:
        """The period of this name that begins on this day."""
        day, month = periods_at(datetime.fromisoformat(first_day).replace(tzinfo=UTC))
        return day if name == "day" else month

    @property
    def ends_ms(self) -> int:
        return int(self.ends_at.timestamp() * 1000)

    def seconds_left(self, now: datetime) -> int:
        """Whole seconds until the end, at least 1."""
        return max(int((self.ends_at - now).total_seconds()) + 1, 1)

    @property
    def resets_at(self) -> str:
        """The end as ISO 8601."""
        return self.ends_at.strftime("%Y-%m-%dT%H:%M:%SZ")


def periods_at(now: datetime) -> tuple[Period, Period]:
    """The day and the month of a time."""
    day = now.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    month = day.replace(day=1)
    next_month = (month + timedelta(days=32)).replace(day=1)
    return (
        Period("day", day.date().isoformat(), day + timedelta(days=1)),
        Period("month", month.date().isoformat(), next_month),
    )


@dataclass(frozen=True, slots=True)
class Budget:
    """The budget of one owner or graph in one period."""

    scope: str
    """`owner` or `graph`."""
    name: str
    """The owner or the graph."""
    period: Period
    limits: Mapping[str, float]

    @property
    def scope_and_period(self) -> str:
        """Such as `owner/day`."""
        return f"{self.scope}/{self.period.name}"

    @property
    def budget_id(self) -> str:
        return "|".join((self.scope, self.period.name, self.period.first_day, self.name))

    def entry(self, counted: Counted, amount: int) -> BudgetEntry | None:
        """None if the budget does not limit this."""
        limit = self.limits.get(counted)
        if limit is None:
            return None
        return self.budget_id, counted, amount, round(limit * unit_of(counted)), self.period.ends_ms

    def exhausted(self, counted: str, used: float, needed: float, node: str | None = None) -> CeilingHit:
        """The error of a call for which the budget has no room."""
        return CeilingHit(
            counted.removesuffix("_usd"),
            self.limits[counted],
            used / unit_of(counted),
            node,
            needed=needed / unit_of(counted) if counted != "runs" else 0,
            scope=self.scope_and_period,
            resets_at=self.period.resets_at,
        )


def unit_of(counted: str) -> int:
    """How many of what a budget counts are one of what its limit says."""
    return NANO if counted == "cost_usd" else 1


class Budgets:
    """The budgets of a deployment. `clock` decides in which day and month a run or call counts; without one, that of
    this host."""

    def __init__(self, section: BudgetsSection, clock: Clock | None = None) -> None:
        self._section, self.clock = section, clock or Clock()
        self.any = any(_limited(each) for each in _all_of(section))
        """Whether there is any budget."""

    def of_run(self, owner: str | None, graph_id: str, now: datetime) -> Sequence[Budget]:
        """The budgets that apply to a run now. Empty if there are none."""
        if not self.any:
            return ()
        section, periods = self._section, periods_at(now)
        budgets = [_budgets("graph", graph_id, section.graphs.get(graph_id, section.graph), periods)]
        if owner is not None:
            budgets.append(_budgets("owner", owner, section.owners.get(owner, section.owner), periods))
        return [budget for each in budgets for budget in each]

    def limits_of(self, scope: str, name: str, period: str) -> Mapping[str, float]:
        """The limits of one owner or graph. Empty if it has none."""
        section = self._section
        named, for_all = (section.owners, section.owner) if scope == "owner" else (section.graphs, section.graph)
        periods = named.get(name, for_all)
        return (periods.day if period == "day" else periods.month).limits()


def entries_of(budgets: Sequence[Budget], amounts: Mapping[Counted, int]) -> list[tuple[Budget, BudgetEntry]]:
    """What a call adds to the budgets that limit it."""
    return [
        (budget, entry)
        for budget in budgets
        for counted, amount in amounts.items()
        if amount and (entry := budget.entry(counted, amount)) is not None
    ]


def budget_owner(metadata: Mapping[str, Any], user: str | None) -> str | None:
    """Whose budget a run uses: the user's for whom it executes, else that of `owner` in its metadata."""
    owner = metadata.get("owner") if user is None else user
    return owner if isinstance(owner, str) and owner else None


def _budgets(scope: str, name: str, periods: BudgetPeriods, at: tuple[Period, Period]) -> Iterator[Budget]:
    for period, section in zip(at, (periods.day, periods.month), strict=True):
        if limits := section.limits():
            yield Budget(scope, name, period, limits)


def _all_of(section: BudgetsSection) -> list[BudgetPeriods]:
    return [section.owner, section.graph, *section.owners.values(), *section.graphs.values()]


def _limited(periods: BudgetPeriods) -> bool:
    return bool(periods.day.limits() or periods.month.limits())


NO_BUDGETS: Final = Budgets(BudgetsSection())
