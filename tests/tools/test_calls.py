"""Calls of tools in every way that LangGraph and LangChain have: each passes the gateway once."""

from __future__ import annotations

from typing import Any

import pytest

from slipway.runs.attempt_writer import SendLimits
from slipway.runs.cancel_reasons import Action
from tests.runs.conftest import new_run
from tests.tools.conftest import Runs


@pytest.mark.parametrize(
    ("how", "tool", "args", "result"),
    [
        ("call", "issue_refund", {"order": "a"}, "refunded a: 1.0"),
        ("ainvoke", "issue_refund", {"order": "a", "amount": 2}, "refunded a: 2.0"),
        ("function", "issue_refund", {"order": "a"}, "refunded a: 1.0"),
        ("loop in a thread", "issue_refund", {"order": "a"}, "refunded a: 1.0"),
        ("call", "send_mail", {"to": "b"}, "sent to b"),
        ("ainvoke", "send_mail", {"to": "b"}, "sent to b"),
        ("invoke in a thread", "send_mail", {"to": "b"}, "sent to b"),
        ("function in a thread", "send_mail", {"to": "b"}, "sent to b"),
        ("bare thread", "send_mail", {"to": "b"}, "sent to b"),
        ("bare thread", "issue_refund", {"order": "a"}, "refunded a: 1.0"),
        ("call", "lookup_order", {"order": "c"}, {"order": "c", "total": 10}),
        ("function", "lookup_order", {"order": "c"}, {"order": "c", "total": 10}),
        ("call", "lookup_customer", {"name": "d"}, {"name": "d"}),
        ("function in a thread", "lookup_customer", {"name": "d"}, {"name": "d"}),
        ("call", "ledger", {"amount": 5}, "booked 5"),
        ("ainvoke", "ledger", {"amount": 5}, "booked 5"),
        ("invoke in a thread", "ledger", {"amount": 5}, "booked 5"),
        ("subgraph", "issue_refund", {"order": "a"}, ["refunded a: 1.0"]),
        ("subgraph with another checkpointer", "issue_refund", {"order": "a"}, ["refunded a: 1.0"]),
        ("synchronous subgraph", "issue_refund", {"order": "a"}, ["refunded a: 1.0"]),
    ],
)
async def test_each_way_passes_the_gateway_once(
    runs: Runs, how: str, tool: str, args: dict[str, Any], result: object
) -> None:
    ended = await runs.execute("pays", how=how, tool=tool, args=args)
    assert (ended.code, ended.results) == (None, [result])
    assert [name for name, _ in ended.effects] == [tool]
    assert ended.actions() == ["tool.permitted", "tool.called"]
    permitted = ended.audit[0][1]
    assert (permitted["tool"], permitted["rule"]) == (tool, "slipway.grants[0] (langgraph.json:23)")


async def test_tools_of_a_tool_node_and_of_plain_nodes(runs: Runs) -> None:
    ended = await runs.execute("tool_node", tool="issue_refund", args={"order": "a"}, times=2)
    assert [(m["name"], m["content"]) for m in ended.values["messages"][1:]] == [
        ("issue_refund", "refunded a: 1.0")
    ] * 2
    assert len(set(ended.keys)) == 2, "equal calls with different ids are different calls"
    for how, tool in (
        ("call", "issue_refund"),
        ("call", "send_mail"),
        ("invoke", "send_mail"),
        ("function", "send_mail"),
    ):
        args = {"ledger": {"amount": 1}, "send_mail": {"to": "a"}, "issue_refund": {"order": "a"}}[tool]
        ended = await runs.execute("in_threads", how=how, tool=tool, args=args)
        assert (ended.code, [name for name, _ in ended.effects]) == (None, [tool]), how


async def test_a_tool_that_calls_another_tool(runs: Runs) -> None:
    ended = await runs.execute("tool_node", tool="outer", args={"order": "a"})
    assert ended.effects == [("outer", ("a", "call_0")), ("issue_refund", ("a", 1.0))]
    assert ended.actions() == ["tool.permitted", "tool.permitted", "tool.called", "tool.called"]


@pytest.mark.parametrize("how", ["call", "subgraph", "task"])
async def test_a_node_that_is_retried_executes_no_write_again(runs: Runs, how: str) -> None:
    """Also where its subgraphs and tasks call the tool: in the retry LangGraph finds what they did."""
    ended = await runs.execute("retries", how=how, tool="issue_refund", args={"order": "a"}, times=3)
    assert ended.results == [["refunded a: 1.0"] if how == "subgraph" else "refunded a: 1.0"] * 3
    assert len(ended.effects) == 3
    assert len(set(ended.keys)) == 3


async def test_an_error_handler_has_the_grants_of_its_node_and_calls_of_its_own(runs: Runs) -> None:
    ended = await runs.execute("compensates", how="call", tool="issue_refund", args={"order": "a"})
    assert (ended.code, len(ended.effects), len(set(ended.keys))) == (None, 2, 2)
    assert {details["node"] for _, details in ended.audit} == {"pay"}


async def test_records_of_calls_live_as_long_as_the_chain(runs: Runs) -> None:
    calls = runs.stores.keys.thread_calls
    asking = await runs.start("asks", how="call", tool="issue_refund", args={"order": "a"})
    waits = await runs.finish(asking)
    assert waits.run.phase == "waiting_for_approval"
    assert await runs.stores.pipeline.send("HLEN", calls(asking.thread_id)) == 2
    ended = await runs.resume(asking, "yes")
    assert ended.results == ["refunded a: 1.0", "yes"]
    assert len(ended.effects) == 1, "the node was executed again, and the refund was not issued again"
    assert await runs.stores.pipeline.send("EXISTS", calls(asking.thread_id)) == 0


async def test_reads_are_executed_again_and_leave_no_record(runs: Runs) -> None:
    ended = await runs.execute("asks", how="call", tool="lookup_order", args={"order": "a"})
    assert await runs.stores.pipeline.send("EXISTS", runs.stores.keys.thread_calls(ended.run.thread_id)) == 0


async def test_a_write_needs_a_durability_that_stores_checkpoints(runs: Runs) -> None:
    options = {"input": {"how": "call", "tool": "issue_refund", "args": {"order": "a"}}, "durability": "exit"}
    await runs.stores.create(new_run(await runs.stores.create_thread(), graph_id="pays", options=options))
    ended = await runs.finish(await runs.stores.claim_one())
    assert (ended.code, ended.effects) == ("tool.denied", [])
    assert "durability exit" in ended.message


@pytest.mark.parametrize(
    ("how", "tool", "args"),
    [
        ("ainvoke", "issue_refund", {"order": "a"}),
        ("tool made of the function", "issue_refund", {"order": "a"}),
        ("tool made of the function in a thread", "send_mail", {"to": "a"}),
    ],
)
async def test_each_call_is_counted_once(runs: Runs, how: str, tool: str, args: dict[str, Any]) -> None:
    """LangChain's callbacks announce it, and it passes the gateway."""
    ended = await runs.execute("pays", how=how, tool=tool, args=args, times=3)
    assert (ended.run.public()["usage"]["tool_calls"], len(ended.effects)) == (3, 3)


async def test_calls_are_counted_when_they_begin(runs: Runs) -> None:
    asking = await runs.start("asks", how="call", tool="issue_refund", args={"order": "a"})
    await runs.finish(asking)
    ended = await runs.resume(asking, "yes")
    assert ended.run.public()["usage"]["tool_calls"] == 1, "the repetition was not executed"
    asking = await runs.start("pays", how="call", tool="approved_refund", args={"order": "a"})
    assert (await runs.finish(asking)).run.public()["usage"].get("tool_calls", 0) == 0, "nothing was called yet"


async def test_a_ceiling_is_hit_before_the_call(runs: Runs) -> None:
    spec = new_run(
        await runs.stores.create_thread(),
        graph_id="pays",
        options={"input": {"how": "call", "tool": "issue_refund", "args": {"order": "a"}, "times": 5}},
        ceilings={"max_tool_calls": 2},
    )
    await runs.stores.create(spec)
    ended = await runs.finish(await runs.stores.claim_one())
    assert (ended.code, len(ended.effects)) == ("ceiling.tool_calls", 2)


@pytest.mark.parametrize("how", ["call", "subgraph"])
async def test_the_checkpoint_of_the_task_is_stored_before_the_call(runs: Runs, how: str) -> None:
    """Otherwise the next attempt would have another task, and make the call with another key. The writer would keep the
    first checkpoints in the memory of the process until the end of this run."""
    run = await runs.start("pays", how=how, tool="checks_checkpoint", args={})
    runs.tools.stored[run.thread_id] = runs.stores.checkpointer.aget_tuple
    limits = SendLimits(delay_s=60, first_group_delay_s=60)
    await runs.execution(run, limits).execute()
    ended = await runs.ended(run)
    assert ended.results in (["stored"], [["stored"]])


async def test_an_attempt_that_lost_its_run_executes_no_tool(runs: Runs) -> None:
    lost = await runs.start("pays", how="call", tool="issue_refund", args={"order": "a"}, times=2)
    await runs.stores.reap()
    owner = await runs.stores.claim_one()
    await runs.execution(lost).execute()
    assert (await runs.ended(lost)).effects == []
    ended = await runs.finish(owner)
    assert (ended.run.phase, len(ended.effects)) == ("completed", 2)


async def test_a_cancelled_run_begins_no_call(runs: Runs) -> None:
    run = await runs.start("pays", how="call", tool="issue_refund", args={"order": "a"})
    execution = runs.execution(run)  # it does not know yet that the run is cancelled
    await runs.stores.runs.cancel(run.thread_id, run.run_id, Action.INTERRUPT)
    await execution.execute()
    ended = await runs.ended(run)
    assert (ended.run.phase, ended.effects) == ("cancelled", [])


async def test_a_result_that_is_too_large_is_not_executed_again(runs: Runs) -> None:
    asking = await runs.start("asks", how="call", tool="large_result", args={})
    assert (await runs.finish(asking)).run.phase == "waiting_for_approval"
    ended = await runs.resume(asking, "yes")
    assert (ended.code, len(ended.effects)) == ("tool.failed", 1)
    assert "its result was too large to be kept: it is not executed again" in ended.message


async def test_the_functional_api(runs: Runs) -> None:
    ended = await runs.execute("functional", tool="issue_refund", args={"order": "a"})
    assert (ended.code, ended.results) == (None, ["refunded a: 1.0"] * 2)
    assert len(set(ended.keys)) == 2
    assert [details["node"] for action, details in ended.audit if action == "tool.called"] == [
        "pay",
        "pay/pays_in_a_task",
    ]


@pytest.mark.parametrize(
    "how",
    [
        "subgraph without checkpoints",
        "subgraph in a subgraph without checkpoints",
        "subgraph with durability exit",
    ],
)
async def test_a_subgraph_that_stores_nothing_calls_no_tool_that_writes(
    runs: Runs, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    """Its tasks have other ids when its node is executed again, so the call would be another one."""
    monkeypatch.setattr("slipway.tool_gateway.gateway.STORED_WITHIN_S", 0.05)
    ended = await runs.execute("pays", how=how, tool="issue_refund", args={"order": "a"})
    assert (ended.code, ended.effects) == ("tool.denied", [])
    assert "does not store its checkpoints" in ended.message
    ended = await runs.execute("pays", how=how, tool="lookup_order", args={"order": "a"})
    assert ended.code is None, "a tool that reads may be executed again"


async def test_a_node_that_took_too_long_gets_the_result_of_its_tool_in_the_retry(runs: Runs) -> None:
    """The tool that the first try has called ends, because it writes."""
    ended = await runs.execute("retries_what_took_too_long", how="call", tool="slow_refund", args={"order": "a"})
    assert (ended.results, len(ended.effects)) == (["a"], 1)
