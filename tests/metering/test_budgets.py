"""Budgets of owners and graphs by day and month."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from types import ModuleType
from typing import Any

import pytest

from slipway.accounting.counting import Ceilings
from slipway.accounting.metered_usage import MeteredUsage
from slipway.accounting.usage import Usage
from slipway.budget_counts.budget_use import budgets_in_use
from slipway.budget_counts.scripts import BudgetedRun, BudgetReservation, BudgetScripts, NoRoom
from slipway.budget_counts.store import BudgetStore
from slipway.budgets import Budgets, periods_at
from slipway.graphs.metering_sections import BudgetsSection
from slipway.graphs.registry import Registry
from slipway.metering.meter import Meter
from slipway.runs.attempt_writer import AttemptWriter
from slipway.runs.record import Phase
from tests.metering.conftest import PRICES, execute, made_calls
from tests.runs.conftest import Stores
from tests.runs.executions import execution_of, metering_of

FOR_OWNERS = BudgetsSection.model_validate({"owner": {"day": {"tokens": 150, "tool_calls": 3}}})


def test_a_period_is_a_day_or_a_month_in_utc() -> None:
    day, month = periods_at(datetime(2026, 12, 31, 23, 30, tzinfo=UTC))
    assert (day.first_day, day.resets_at) == ("2026-12-31", "2027-01-01T00:00:00Z")
    assert (month.first_day, month.resets_at) == ("2026-12-01", "2027-01-01T00:00:00Z")
    assert day.seconds_left(datetime(2026, 12, 31, 23, 59, 59, tzinfo=UTC)) == 2


async def test_all_runs_of_an_owner_share_a_budget(stores: Stores, graphs: Registry) -> None:
    value = {"times": 2}
    first = await execute(stores, graphs, "answer", value, budgets=FOR_OWNERS, metadata={"owner": "ann"})
    second = await execute(stores, graphs, "answer", value, budgets=FOR_OWNERS, metadata={"owner": "ann"})
    third = await execute(stores, graphs, "answer", value, budgets=FOR_OWNERS, metadata={"owner": "ann"})
    other = await execute(stores, graphs, "answer", value, budgets=FOR_OWNERS, metadata={"owner": "bob"})
    assert (first.phase, second.phase, other.phase) == (Phase.COMPLETED,) * 3
    error = third.error or {}
    assert (error["code"], error["scope"], error["limit"], error["used"]) == ("ceiling.tokens", "owner/day", 150, 120)
    assert error["resets_at"] == periods_at(datetime.now(UTC))[0].resets_at
    uses = await budgets_in_use(BudgetScripts(stores.pipeline, stores.shards.limits), Budgets(FOR_OWNERS))
    assert {use.name: (use.public()["scope"], use.used["tokens"], use.limits["tokens"]) for use in uses} == {
        "ann": ("owner/day", 120, 150),
        "bob": ("owner/day", 60, 150),
    }


async def test_tool_calls_and_costs_have_budgets(stores: Stores, graphs: Registry) -> None:
    run = await execute(stores, graphs, "tool_loop", {"times": 9}, budgets=FOR_OWNERS, metadata={"owner": "ann"})
    assert ((run.error or {})["code"], (run.error or {})["used"]) == ("ceiling.tool_calls", 3)
    of_graph = BudgetsSection.model_validate({"graphs": {"answer": {"month": {"cost_usd": 0.00018}}}})
    run = await execute(stores, graphs, "answer", {"times": 9}, budgets=of_graph)
    error = run.error or {}
    assert (error["code"], error["scope"]) == ("ceiling.cost", "graph/month")
    assert 0 < run.public()["usage"]["cost_usd"] <= 0.00018


async def test_runs_that_execute_at_once_do_not_use_the_same_rest_of_a_budget(stores: Stores, graphs: Registry) -> None:
    """Each call reserves at most 46 tokens, so three of them fit into 150."""
    metering = metering_of(stores, PRICES, FOR_OWNERS)
    created = [
        await stores.create_run(graph_id="answer", metadata={"owner": "ann"}, options={"input": {}}) for _ in range(8)
    ]
    await asyncio.gather(
        *(execution_of(stores, graphs, run, metering=metering).execute() for run in await stores.claim())
    )
    ended: list[Any] = [await stores.reload(run) for run in created]
    completed = [run for run in ended if run.phase is Phase.COMPLETED]
    assert 3 <= len(completed) <= 5
    assert sum(run.public()["usage"]["tokens"]["total"] for run in ended if run.metered) <= 150


@pytest.mark.parametrize("how", ["in the event loop", "to_thread"])
async def test_a_synchronous_call_is_counted_before_it_is_made(
    stores: Stores, graphs: Registry, project: ModuleType, how: str
) -> None:
    value = {"how": how, "times": 9}
    run = await execute(stores, graphs, "answer", value, budgets=FOR_OWNERS, metadata={"owner": "ann"})
    (use,) = await budgets_in_use(BudgetScripts(stores.pipeline, stores.shards.limits), Budgets(FOR_OWNERS))
    assert (run.error or {})["code"] == "ceiling.tokens"
    # The correction of a call that a thread made goes over another connection than the next reservation. If it arrives
    # later, that reservation does not fit.
    possible = {(4, 120)} if how == "in the event loop" else {(4, 120), (3, 90)}
    assert (made_calls(project, run), use.used["tokens"]) in possible


async def test_each_reservation_is_in_a_budget_once_in_whatever_order_they_arrive(stores: Stores) -> None:
    store = BudgetStore(stores.pipeline, stores.shards)
    (budget,) = Budgets(FOR_OWNERS).of_run("ann", "steps", datetime.now(UTC))

    def reservation(revision: int, tokens: int, ended: int = 0) -> BudgetReservation:
        entry, correction = budget.entry("tokens", tokens), budget.entry("tokens", ended)
        assert entry is not None
        assert correction is not None
        run = BudgetedRun("run-1", "steps", None)
        return BudgetReservation(run, "attempt", revision, 5, [entry], [correction] if ended else [])

    async def used() -> float:
        (use,) = await budgets_in_use(BudgetScripts(stores.pipeline, stores.shards.limits), Budgets(FOR_OWNERS))
        return use.used["tokens"]

    later, earlier = reservation(7, 60), reservation(6, 50)
    for each in (later, earlier, later, earlier):
        assert await store.reserve(each) is None
    assert await used() == 110
    for _ in range(2):
        assert await store.reserve(reservation(8, 60, ended=-10)) == NoRoom(0, 100)
        assert await used() == 110, "the correction is sent again"
    assert await store.reserve(reservation(9, 60, ended=-20)) is None
    assert await used() == 150


async def test_calls_that_are_counted_before_the_first_is_stored_are_all_in_the_budget(stores: Stores) -> None:
    """As threads of a node may count theirs."""
    await stores.create_run(metadata={"owner": "ann"})
    run = await stores.claim_one()
    metering, ceilings = metering_of(stores, PRICES, FOR_OWNERS), Ceilings(run.ceilings, Usage(), MeteredUsage())
    meter = Meter(
        metering,
        AttemptWriter(stores.scripts, run),
        ceilings,
        on_hit=lambda hit: None,
        on_unpriced=lambda model: None,
        store_usage=lambda: None,
    )
    for _ in range(2):
        meter.count_tool_call()
    await asyncio.gather(meter.store_reservation(None), meter.store_reservation(None))
    (use,) = await budgets_in_use(BudgetScripts(stores.pipeline, stores.shards.limits), Budgets(FOR_OWNERS))
    assert use.used["tool_calls"] == 2
