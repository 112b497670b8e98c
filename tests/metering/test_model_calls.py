"""Calls of chat models are counted before they are made, however they are made, and settled by what they used."""

from __future__ import annotations

import json
import threading
from types import ModuleType
from typing import Any

import pytest

from slipway.accounting.metered_usage import MeteredUsage
from slipway.graphs.metering_sections import BudgetsSection
from slipway.graphs.registry import Registry
from slipway.metering import callback_handler
from slipway.model_prices import ModelPrice
from slipway.runs.record import Phase
from tests.metering.conftest import COST_OF_CALL, execute, made_calls
from tests.runs.conftest import Stores

HOWS = ("await", "stream", "in the event loop", "to_thread", "thread", "pool of threads")


async def _notices(stores: Stores, run: Any) -> list[dict[str, Any]]:
    return [json.loads(event.data) for event in await stores.log_of(run) if event.name == "notice"]


@pytest.mark.parametrize("how", HOWS)
async def test_a_call_counts_with_what_its_message_says(
    stores: Stores, graphs: Registry, project: ModuleType, how: str
) -> None:
    run = await execute(stores, graphs, "answer", {"how": how, "times": 2})
    usage = run.public()["usage"]
    assert run.phase is Phase.COMPLETED, run.error
    assert made_calls(project, run) == 2
    assert usage["tokens"] == {"input": 20, "output": 40, "cached": 0, "total": 60}
    assert usage["cost_usd"] == pytest.approx(2 * COST_OF_CALL)
    assert usage["models"] == {
        "fake": {"calls": 2, "input": 20, "output": 40, "cached": 0, "cost_usd": usage["cost_usd"]}
    }
    assert (usage["unmetered_calls"], usage["unpriced_models"]) == (0, [])
    assert "reserved" not in usage


async def test_a_synchronous_node_is_counted(stores: Stores, graphs: Registry) -> None:
    run = await execute(stores, graphs, "ways")
    assert run.public()["usage"]["tokens"]["total"] == 30


async def test_threads_for_which_a_node_blocks_the_event_loop_are_counted(stores: Stores, graphs: Registry) -> None:
    run = await execute(stores, graphs, "answer", {"how": "parallel threads of a blocked event loop"})
    assert run.phase is Phase.COMPLETED, run.error
    assert run.public()["usage"]["tokens"]["total"] == 60


@pytest.mark.parametrize(
    ("how", "what"),
    [("thread without context", "a chat model"), ("tool in a thread without context", "a tool")],
)
async def test_a_thread_without_the_context_of_its_node_is_refused(
    stores: Stores, graphs: Registry, project: ModuleType, monkeypatch: pytest.MonkeyPatch, how: str, what: str
) -> None:
    monkeypatch.setattr(callback_handler, "EXECUTING_THREADS", [threading.get_ident()])
    run = await execute(stores, graphs, "answer", {"how": how})
    assert run.error is not None
    assert run.error["code"] == "run.outside"
    assert run.error["message"].startswith(f"{what} was called outside of a run")
    assert "asyncio.to_thread" in run.error["message"]
    assert made_calls(project, run) == 0


async def test_a_call_whose_provider_says_nothing_stays_at_its_estimate(stores: Stores, graphs: Registry) -> None:
    run = await execute(stores, graphs, "answer", {"model": {"reports": False}})
    usage = run.public()["usage"]
    assert usage["unmetered_calls"] == 1
    assert usage["tokens"]["output"] == 30, "the most that the call may generate"
    assert usage["tokens"]["input"] >= 12, "the bytes of a thread id"


@pytest.mark.parametrize(("fails", "tokens", "unmetered"), [("rejected", 0, 0), ("broken", 30, 1)])
async def test_a_failed_call_is_settled(
    stores: Stores, graphs: Registry, fails: str, tokens: int, unmetered: int
) -> None:
    run = await execute(stores, graphs, "answer", {"model": {"fails": fails}})
    usage = run.public()["usage"]
    assert run.phase is Phase.FAILED
    assert (usage["tokens"]["output"], usage["unmetered_calls"]) == (tokens, unmetered)
    assert usage["models"]["fake"]["calls"] == 1
    assert "reserved" not in usage


@pytest.mark.parametrize(
    ("limits", "budget"),
    [({"max_tokens": 9999}, None), ({"max_cost_usd": 9}, None), ({}, "tokens"), ({}, "cost_usd")],
)
async def test_a_call_that_could_pass_a_limit_because_nobody_knows_its_output_is_not_made(
    stores: Stores, graphs: Registry, project: ModuleType, limits: dict[str, float], budget: str | None
) -> None:
    budgets = BudgetsSection.model_validate({"graph": {"day": {budget: 9999}}} if budget else {})
    value = {"model": {"max_tokens": None}}
    run = await execute(stores, graphs, "answer", value, limits=limits, budgets=budgets)
    error = run.error or {}
    assert (error["code"], made_calls(project, run)) == ("model.unbounded", 0)
    limit = f"the budget {budget} (graph/day)" if budget else f"the ceiling {next(iter(limits))}"
    assert error["message"].startswith(f"the model 'fake' was not called: {limit} limits it")
    assert "SLIPWAY_MODEL_OUTPUT_TOKENS" in error["message"]
    caught = await execute(stores, graphs, "stubborn", value | {"times": 2}, limits=limits, budgets=budgets)
    assert (caught.phase, made_calls(project, caught)) == (Phase.COMPLETED, 0), "it may call another model"


@pytest.mark.parametrize(
    ("how", "fields", "output"),
    [
        ("await", {"max_tokens": 30, "profile": {"max_output_tokens": 25}}, 30),
        ("await", {"max_tokens": None, "profile": {"max_output_tokens": 25}}, 25),
        ("stream", {"max_tokens": None, "profile": {"max_output_tokens": 25}}, 25),
        ("in the event loop", {"max_tokens": None, "profile": {"max_output_tokens": 25}}, 25),
        ("wrapped", {"max_tokens": None, "profile": {"max_output_tokens": 25}}, 25),
        ("two choices", {"max_tokens": None, "profile": {"max_output_tokens": 25}}, 50),
        ("other model", {"max_tokens": None, "profile": {"max_output_tokens": 25}}, 4096),
        ("await", {"max_tokens": None, "model": "priced"}, 40),
        ("await", {"max_tokens": None, "model": "priced", "profile": {"max_output_tokens": 25}}, 40),
        ("await", {"max_tokens": None}, 4096),
    ],
)
async def test_the_output_of_a_call_is_bounded_by_the_call_then_the_price_then_the_profile(
    stores: Stores, graphs: Registry, how: str, fields: dict[str, Any], output: int
) -> None:
    run = await execute(stores, graphs, "answer", {"how": how, "model": fields | {"reports": False}})
    assert run.public()["usage"]["tokens"]["output"] == output, run.error


async def test_a_model_that_has_read_more_than_was_estimated_is_estimated_with_more(
    stores: Stores, graphs: Registry, project: ModuleType
) -> None:
    """Three calls use 360 tokens. Two of them use 240, and a third that is estimated with 46 would be made."""
    value = {"model": {"reads": 100}, "times": 3}
    run = await execute(stores, graphs, "answer", value, limits={"max_tokens": 350})
    assert ((run.error or {})["code"], made_calls(project, run)) == ("ceiling.tokens", 2)
    assert run.public()["usage"]["tokens"]["total"] == 240
    later = MeteredUsage.from_stored(run.metered)
    assert [later.expected_input("fake", estimated) for estimated in (16, 1000)] == [100, 3052]
    assert later.expected_input("other", 16) == 16


async def test_a_model_without_a_price_counts_tokens_and_says_so(stores: Stores, graphs: Registry) -> None:
    run = await execute(
        stores, graphs, "answer", {"model": {"model": "other"}, "times": 2}, limits={"max_cost_usd": 0.0001}
    )
    usage, notices = run.public()["usage"], await _notices(stores, run)
    assert run.phase is Phase.COMPLETED
    assert (usage["tokens"]["total"], usage["cost_usd"], usage["unpriced_models"]) == (60, 0, ["other"])
    (notice,) = [notice for notice in notices if notice["code"] == "model.price_unknown"]
    assert notice["model"] == "other"


@pytest.mark.parametrize(
    ("limits", "code", "possible"),
    [({"max_tokens": 200}, "ceiling.tokens", 5), ({"max_cost_usd": 0.0003}, "ceiling.cost", 4)],
)
async def test_a_model_that_never_stops_ends_before_the_limit_is_passed(
    stores: Stores, graphs: Registry, project: ModuleType, limits: dict[str, float], code: str, possible: int
) -> None:
    run = await execute(stores, graphs, "agent", {"model": {"max_tokens": 20}}, limits=limits)
    usage, (limit,) = run.public()["usage"], limits.values()
    used = usage["tokens"]["total"] if code == "ceiling.tokens" else usage["cost_usd"]
    assert (run.error or {})["code"] == code
    assert 0 < used <= limit
    assert usage["models"]["fake"]["calls"] <= possible
    assert made_calls(project, run) > 1


async def test_a_model_that_never_stops_calling_tools_ends_at_their_ceiling(
    stores: Stores, graphs: Registry, project: ModuleType
) -> None:
    """`ToolNode` makes a message for the model of an exception, so nothing of the graph ends the run."""
    run = await execute(stores, graphs, "agent", limits={"max_tool_calls": 3})
    assert (run.error or {})["code"] == "ceiling.tool_calls"
    assert (run.error or {})["node"] == "tools"
    assert run.public()["usage"]["tool_calls"] == 3


async def test_a_node_that_catches_the_exception_does_not_continue(
    stores: Stores, graphs: Registry, project: ModuleType
) -> None:
    run = await execute(stores, graphs, "stubborn", {"times": 1000}, limits={"max_tokens": 100})
    assert (run.error or {})["code"] == "ceiling.tokens"
    assert made_calls(project, run) == 2
    assert project.refused[run.thread_id] < 10, "it did not try a thousand times"


async def test_parallel_calls_cannot_pass_a_ceiling_together(
    stores: Stores, graphs: Registry, project: ModuleType
) -> None:
    """Each call needs at most 30 + 16 tokens and uses 30: three fit, one after the other or together."""
    run = await execute(stores, graphs, "parallel", {"times": 20}, limits={"max_tokens": 150})
    assert (run.error or {})["code"] == "ceiling.tokens"
    assert run.public()["usage"]["tokens"]["total"] <= 150
    assert made_calls(project, run) <= 3


async def test_a_run_that_answers_continues_the_count_of_its_chain(stores: Stores, graphs: Registry) -> None:
    asking = await execute(stores, graphs, "ask", limits={"max_tokens": 1000})
    assert asking.phase is Phase.WAITING_FOR_APPROVAL
    answer: Any = {"input": None, "command": {"resume": "yes"}}
    answering = await execute(
        stores, graphs, "ask", thread_id=asking.thread_id, options=answer, limits={"max_tokens": 5000}
    )
    usage = answering.public()["usage"]
    assert answering.phase is Phase.COMPLETED
    assert usage["tokens"]["total"] == 60, "the node begins again, and calls the model again"
    assert answering.ceilings["max_tokens"] == 1000


async def test_a_node_sees_what_is_left(stores: Stores, graphs: Registry) -> None:
    run = await execute(stores, graphs, "planner", limits={"max_tokens": 250, "max_tool_calls": 7})
    (state,) = [json.loads(event.data) for event in (await stores.log_of(run))[-2:-1]]
    assert run.phase is Phase.COMPLETED, run.error
    assert state["done"] == ["6"]
    (left,) = state["left"]
    assert (left["tokens"], left["tool_calls"], left["cost_usd"]) == (70, 7, None)
    assert left["steps"] == 499
    assert 3590 < left["active_s"] < 3600


async def test_most_of_a_ceiling_is_one_notice(stores: Stores, graphs: Registry) -> None:
    run = await execute(stores, graphs, "answer", {"times": 6}, limits={"max_tokens": 220})
    warnings = [notice for notice in await _notices(stores, run) if notice.get("warning")]
    assert [(each["code"], each["used"], each["limit"]) for each in warnings] == [("ceiling.tokens", 180, 220)]


NESTED = ["nested", "nested_sync", "nested_on_a_thread", "nested_in_a_namespace"]


@pytest.mark.parametrize("graph_id", NESTED)
async def test_supersteps_and_visits_of_subgraphs_count(stores: Stores, graphs: Registry, graph_id: str) -> None:
    run = await execute(stores, graphs, graph_id, {"times": 4})
    assert run.phase is Phase.COMPLETED, run.error
    assert run.usage["steps"] == 5
    assert run.usage["node_visits"] == {"outer": 1, "outer|inner": 4}


@pytest.mark.parametrize("graph_id", NESTED)
async def test_a_loop_in_a_subgraph_ends_at_the_ceiling(stores: Stores, graphs: Registry, graph_id: str) -> None:
    run = await execute(stores, graphs, graph_id, {"times": 1000}, limits={"max_steps": 10})
    assert (run.error or {})["code"] == "ceiling.steps"
    assert run.usage["steps"] == 10


async def test_tool_calls_outside_of_a_tool_node_count(stores: Stores, graphs: Registry) -> None:
    run = await execute(stores, graphs, "tool_loop", {"times": 10}, limits={"max_tool_calls": 5})
    assert (run.error or {})["code"] == "ceiling.tool_calls"
    assert "5 of 5" in (run.error or {})["message"]


def test_a_reservation_has_the_highest_price_of_the_input() -> None:
    price = ModelPrice(input=1, output=10, cached=0.1, cache_write=1.25)
    assert price.most_cost_nano(1000, 100) == price.cost_nano(1000, 100, 0, 1000) == 2_250_000
    assert price.cost_nano(1000, 100, 600, 300) == 100_000 + 60_000 + 375_000 + 1_000_000
    assert ModelPrice(input=2, output=0, cache_write=1).most_cost_nano(10, 0) == 20_000
