"""The members of `slipway` in `langgraph.json` that say what models cost, and what may be used in a day and a month."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from slipway.graphs.project_objects import Text
from slipway.graphs.strict_section import PositiveNumber, PositiveWhole, StrictSection
from slipway.model_prices import ModelPrice, Price


class PriceSection(StrictSection):
    """`prices.MODEL`: see `ModelPrice`."""

    input: Price
    output: Price
    cached: Price | None = None
    cache_write: Price | None = None
    max_output_tokens: PositiveWhole | None = None

    def price(self) -> ModelPrice:
        return ModelPrice(**self.model_dump())


class BudgetSection(StrictSection):
    """What may be used in one period. What is absent has no limit."""

    tokens: PositiveWhole | None = None
    cost_usd: PositiveNumber | None = None
    tool_calls: PositiveWhole | None = None
    runs: PositiveWhole | None = None

    def limits(self) -> dict[str, float]:
        """The limits that are set, by name."""
        limits: dict[str, Any] = self.model_dump(exclude_none=True)
        return limits


class BudgetPeriods(StrictSection):
    """Budgets for each day and each month, in UTC."""

    day: BudgetSection = BudgetSection()
    month: BudgetSection = BudgetSection()


class BudgetsSection(StrictSection):
    """`budgets`. An owner in `owners` and a graph in `graphs` has these budgets instead of those for all."""

    owner: BudgetPeriods = BudgetPeriods()
    """For each owner."""
    graph: BudgetPeriods = BudgetPeriods()
    """For each graph."""
    owners: dict[Text, BudgetPeriods] = Field(default_factory=dict)
    graphs: dict[Text, BudgetPeriods] = Field(default_factory=dict)
