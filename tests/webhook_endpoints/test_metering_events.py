"""Warnings about ceilings, and the states of budgets, are told once each."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, Final

from slipway.graphs.metering_sections import BudgetsSection
from slipway.graphs.registry import Registry
from slipway.runs.record import Phase
from tests.metering.conftest import execute, graphs, stores
from tests.runs.conftest import Stores
from tests.webhook_endpoints.conftest import add
from tests.webhook_endpoints.phase_changes import deliveries_of

__all__ = ["graphs", "stores"]

CALLS: Final = BudgetsSection.model_validate({"owner": {"day": {"tool_calls": 5}}})
TOKENS: Final = BudgetsSection.model_validate({"graph": {"month": {"tokens": 100}}})
COSTS: Final = BudgetsSection.model_validate({"graph": {"month": {"cost_usd": 0.00012}}})


async def told(stores: Stores, endpoint_id: str) -> Sequence[dict[str, Any]]:
    return [json.loads(fields["body"]) for fields in await deliveries_of(stores.pipeline, stores.keys, endpoint_id)]


async def test_every_warning_about_a_ceiling_is_told_once(stores: Stores, graphs: Registry) -> None:
    endpoint = await add(stores, "ceiling.warning")
    run = await execute(stores, graphs, "tool_loop", {"times": 9}, limits={"max_tool_calls": 10, "max_steps": 20})
    assert run.phase is Phase.COMPLETED, run.error
    log = [json.loads(event.data) for event in await stores.log_of(run) if event.name == "notice"]
    notices = [each for each in log if each.get("warning") and each["code"].startswith("ceiling.")]
    events = await told(stores, endpoint.endpoint_id)
    assert [(f"ceiling.{e['data']['ceiling']}", e["data"]["used"], e["data"]["limit"]) for e in events] == [
        (notice["code"], notice["used"], notice["limit"]) for notice in notices
    ]
    assert [event["data"]["ceiling"] for event in events] == ["tool_calls"]
    assert events[0]["data"]["run_id"] == run.run_id
    assert events[0]["data"]["link"] == f"/threads/{run.thread_id}/runs/{run.run_id}"


async def test_a_budget_is_told_once_when_it_is_nearly_used_and_once_when_it_is_used_up(
    stores: Stores, graphs: Registry
) -> None:
    everything, hers, others = [await add(stores, "budget.*", owner=owner) for owner in (None, "ann", "bob")]
    for _ in range(3):
        await execute(stores, graphs, "tool_loop", {"times": 3}, budgets=CALLS, metadata={"owner": "ann"})
    events = await told(stores, everything.endpoint_id)
    assert [(e["type"], e["data"]["used"], e["data"]["limit"], e["data"]["name"]) for e in events] == [
        ("budget.warning", 4, 5, "ann"),
        ("budget.used_up", 5, 5, "ann"),
    ]
    assert [(e["data"]["scope"], e["data"]["period"], e["data"]["counted"]) for e in events] == [
        ("owner", "day", "tool_calls")
    ] * 2
    assert await told(stores, hers.endpoint_id) == events
    assert await told(stores, others.endpoint_id) == []


async def test_a_budget_without_room_for_the_first_call_is_told_once_and_only_to_operators(
    stores: Stores, graphs: Registry
) -> None:
    everything, hers = [await add(stores, "*", owner=owner) for owner in (None, "ann")]
    small = BudgetsSection.model_validate({"graph": {"month": {"tokens": 1}}})
    for _ in range(2):
        run = await execute(stores, graphs, "answer", {"times": 1}, budgets=small, metadata={"owner": "ann"})
        assert (run.error or {})["code"] == "ceiling.tokens"
    types = [event["type"] for event in await told(stores, everything.endpoint_id)]
    assert types.count("budget.used_up") == 1
    assert "budget.warning" not in types
    names = {event["type"] for event in await told(stores, hers.endpoint_id)}
    assert names == {"run.queued", "run.running", "run.failed"}, "the budget of a graph is about all owners"
    (budget,) = await stores.pipeline.send("KEYS", f"{stores.keys.prefix}:budget:*")
    assert await stores.pipeline.send("PTTL", budget) > 0


async def test_a_raised_budget_is_told_again(stores: Stores, graphs: Registry) -> None:
    endpoint = await add(stores, "budget.used_up")
    for most in (2, 2, 3, 3):
        calls = BudgetsSection.model_validate({"owner": {"day": {"tool_calls": most}}})
        await execute(stores, graphs, "tool_loop", {"times": 4}, budgets=calls, metadata={"owner": "ann"})
    assert [event["data"]["limit"] for event in await told(stores, endpoint.endpoint_id)] == [2, 3]


async def test_money_is_told_in_dollars(stores: Stores, graphs: Registry) -> None:
    endpoint = await add(stores, "budget.*")
    for _ in range(4):
        await execute(stores, graphs, "answer", {"times": 1}, budgets=COSTS)
    events = await told(stores, endpoint.endpoint_id)
    assert [event["type"] for event in events][-1] == "budget.used_up"
    assert {event["data"]["limit"] for event in events} == {0.00012}
    assert all(0 < event["data"]["used"] <= 0.00012 for event in events)
