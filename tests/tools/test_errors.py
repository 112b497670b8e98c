"""Calls that fail: arguments, results, time limits, retries, fallbacks and secrets."""

from __future__ import annotations

import os
from typing import Any

import pytest

from tests.tools.conftest import Ended, Runs


async def call(runs: Runs, tool: str, graph: str = "handles", **args: Any) -> Ended:
    return await runs.execute(graph, how="call", tool=tool, args=args)


@pytest.mark.parametrize(
    ("tool", "args", "problem"),
    [
        ("issue_refund", {}, "ToolArgumentsInvalid: tool 'issue_refund': order: Field required"),
        ("issue_refund", {"order": "a", "amount": "much"}, "ToolArgumentsInvalid: tool 'issue_refund': amount: Input"),
        ("issue_refund", {"order": "a", "to": "me"}, "ToolArgumentsInvalid: tool 'issue_refund': to: the tool has no"),
        (
            "place_order",
            {"items": [{"sku": "x"}], "note": "broken"},
            "ToolResultInvalid: tool 'place_order' returned id",
        ),
        ("no_tool", {}, "ToolRefused: there is no tool 'no_tool' in this project"),
        ("issue_refunt", {}, "did you mean 'issue_refund'?"),
    ],
)
async def test_a_graph_handles_typed_errors(runs: Runs, tool: str, args: dict[str, Any], problem: str) -> None:
    ended = await call(runs, tool, **args)
    assert problem in ended.results[0]
    assert [name for name, _ in ended.effects] == (["place_order"] if tool == "place_order" else [])


async def test_an_error_that_nobody_handles_fails_the_run_with_its_code(runs: Runs) -> None:
    ended = await call(runs, "ledger", "pays", amount=101)
    assert (ended.code, ended.effects) == ("tool.arguments", [])
    assert ended.message == "tool 'ledger': amount: 101 is greater than the maximum of 100"
    ended = await runs.execute("pays", how="function", tool="issue_refund", args={"order": 5})
    assert ended.code == "tool.arguments", "calls of the function itself are checked too"


async def test_arguments_get_the_declared_types(runs: Runs) -> None:
    ended = await call(runs, "place_order", items=[{"sku": "x"}, {"sku": "y", "count": 2}])
    assert ended.results == [{"id": 7}]
    assert ended.effects == [("place_order", (["x", "y"], None))]


async def test_a_tool_is_retried_with_the_same_key(runs: Runs) -> None:
    run = await runs.start("handles", how="call", tool="search", args={"text": "x"})
    runs.tools.failures[run.thread_id] = 2
    ended = await runs.finish(run)
    assert ended.results == ["found x"]
    assert (len(ended.keys), len(set(ended.keys))) == (3, 1)
    assert ended.actions() == ["tool.permitted", "tool.called"]


async def test_time_limits(runs: Runs) -> None:
    ended = await call(runs, "search", text="slow")
    assert ended.results == ["ToolTimeout: tool 'search' took longer than 0.2 s"]
    ended = await call(runs, "blocks", thread="x")
    assert ended.results == ["ToolTimeout: tool 'blocks' took longer than 0.1 s"]


async def test_an_exception_of_the_tool_remains_its_own(runs: Runs) -> None:
    ended = await call(runs, "search", "pays", text="model")
    assert ended.code == "node.failed"
    assert "ToolException" in str(ended.run.error)
    assert ended.audit[-1][0] == "tool.failed"
    assert ended.audit[-1][1]["error"] == "ToolException"


async def test_a_fallback_takes_the_place_of_a_tool_that_fails(runs: Runs) -> None:
    ended = await call(runs, "lookup_customer_remotely", name="ann")
    assert ended.results == [{"name": "ann"}]
    names = ["tool.permitted", "tool.failed", "tool.fell_back", "tool.permitted", "tool.called"]
    assert ended.actions() == names


async def test_a_wrong_call_is_neither_retried_nor_made_with_the_fallback(runs: Runs) -> None:
    ended = await call(runs, "search", "pays", text="wrong")
    assert (ended.code, len(ended.effects)) == ("node.failed", 1)
    ended = await call(runs, "lookup_customer_remotely", "pays", name="")
    assert (ended.code, ended.effects) == ("node.failed", [])
    assert "tool.fell_back" not in ended.actions()


async def test_secrets_reach_only_their_tool(runs: Runs) -> None:
    assert "PAYMENT_KEY" not in os.environ, "no node and no other program can read them there"
    assert (await call(runs, "search", text="leak")).results == ["key=[secret SEARCH_KEY]"]
    (failed,) = (await call(runs, "search", text="secret")).results
    assert failed == "ToolFailed: tool 'search' raised RuntimeError: 401 for [secret SEARCH_KEY]"
    (foreign,) = (await call(runs, "search", text="foreign")).results
    assert foreign == "SecretMissing: tool 'search' does not declare the secret 'PAYMENT_KEY': add it to its secrets"


async def test_no_secret_is_stored(runs: Runs) -> None:
    for text in ("leak", "secret"):
        await call(runs, "search", "pays", text=text)
    stored = await runs.stores.dump()
    assert "sk-search-2" not in str(stored)
