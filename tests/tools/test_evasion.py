"""A graph that tries every way around the policy: nothing is executed, and the audit trail says why."""

from __future__ import annotations

import functools
import json
from types import ModuleType
from typing import Any

import pytest

from slipway import blocked_loop
from slipway.errors import ToolRefused
from slipway.tool_gateway import entry, thread_calls
from slipway.tool_gateway.instrumentation import entrance_of
from tests.tools.conftest import Runs

REFUND = {"order": "a"}
DENIED = "no rule of slipway.grants permits tool 'issue_refund' to node 'chat' of graph"

WAYS = [
    ("call", "issue_refund", REFUND),
    ("ainvoke", "issue_refund", REFUND),
    ("function", "issue_refund", REFUND),
    ("loop in a thread", "issue_refund", REFUND),
    ("function in a thread", "send_mail", {"to": "x"}),
    ("invoke in a thread", "send_mail", {"to": "x"}),
    ("ainvoke", "ledger", {"amount": 1}),
    ("partial", "issue_refund", REFUND),
    ("code of the function", "issue_refund", REFUND),
    ("copy", "issue_refund", REFUND),
    ("copy", "ledger", {"amount": 1}),
    ("model copy", "issue_refund", REFUND),
    ("model copy", "ledger", {"amount": 1}),
    ("tool made of the function", "issue_refund", REFUND),
    ("method of the class", "ledger", {"amount": 1}),
    ("imported again", "lookup_order", REFUND),
    ("imported again", "issue_refund", REFUND),
    ("subgraph", "issue_refund", REFUND),
    ("subgraph with a forged namespace", "issue_refund", REFUND),
    ("tool with a forged namespace", "issue_refund", REFUND),
    ("tool with a forged namespace", "ledger", {"amount": 1}),
]


@pytest.mark.parametrize(("how", "tool", "args"), WAYS)
async def test_a_node_without_a_grant_calls_no_tool(runs: Runs, how: str, tool: str, args: dict[str, Any]) -> None:
    ended = await runs.execute("evades", how=how, tool=tool, args=args)
    assert (ended.code, ended.effects) == ("tool.denied", [])
    node = "chat/pay" if how.startswith("subgraph") else "chat"
    assert ended.message == f"no rule of slipway.grants permits tool {tool!r} to node {node!r} of graph 'evades'"
    [(action, details)] = ended.audit
    assert (action, details["tool"], details["node"], details["rule"]) == ("tool.denied", tool, node, "")


@pytest.mark.parametrize(
    ("how", "tool", "args", "why"),
    [
        ("another object of the class", "ledger", {"amount": 1}, "another object of the class Ledger is registered"),
        ("replaced function", "issue_refund", REFUND, "its function was replaced after it was registered"),
    ],
)
async def test_what_was_not_registered_is_no_tool_although_it_looks_like_one(
    runs: Runs, how: str, tool: str, args: dict[str, Any], why: str
) -> None:
    ended = await runs.execute("pays", how=how, tool=tool, args=args)
    assert (ended.code, ended.effects, ended.actions()) == ("tool.denied", [], ["tool.denied"])
    assert why in ended.message
    wrapper = functools.wraps(runs.tools.lookup_order)(lambda: None)
    assert entrance_of(wrapper) is None


@pytest.mark.parametrize("how", ["call", "tool with a forged namespace"])
async def test_a_subgraph_gets_no_grant_by_the_name_of_its_node(runs: Runs, how: str) -> None:
    ended = await runs.execute("hides", how=how, tool="issue_refund", args=REFUND)
    assert (ended.code, ended.effects) == ("tool.denied", [])
    assert "node 'chat/pay' of graph 'hides'" in ended.message


@pytest.mark.parametrize("tool", ["issue_refund", "lookup_order"])
@pytest.mark.parametrize("how", ["on another thread", "on the same thread", "with a namespace"])
async def test_a_graph_with_a_place_of_its_own_gets_no_grant_by_the_name_of_its_node(
    runs: Runs, project: ModuleType, how: str, tool: str
) -> None:
    """LangGraph begins it as if it were a root graph, whose node `pay` may pay."""
    ended = await runs.execute("evades", how=f"subgraph {how}", tool=tool, args=REFUND)
    assert (ended.code, ended.effects, project.effects["other"]) == ("tool.denied", [], [])
    assert "to node 'chat/pay' of graph 'evades'" in ended.message


async def test_a_graph_on_a_thread_of_its_own_only_reads(runs: Runs, project: ModuleType) -> None:
    """Its calls would have other keys when its node is executed again."""
    how = "subgraph on another thread"
    reads = await runs.execute("pays", how=how, tool="lookup_order", args=REFUND)
    assert (reads.code, project.effects.pop("other")) == (None, [("lookup_order", ("a",))])
    writes = await runs.execute("pays", how=how, tool="issue_refund", args=REFUND)
    assert (writes.code, project.effects["other"]) == ("tool.denied", [])
    assert "may only call tools that read" in writes.message


async def test_code_outside_of_the_node_that_executes_calls_no_tool(runs: Runs) -> None:
    shared = await runs.execute("shares_a_thread")
    assert (shared.code, shared.effects) == ("tool.denied", [])
    assert "by code that node 'pay' has started, when the node had ended" in shared.message
    reduced = await runs.execute("reduces")
    assert (reduced.code, reduced.effects) == ("tool.denied", [])
    assert "in a graph that no node of the run has called" in reduced.message


async def test_a_subgraph_has_the_grants_of_its_node(runs: Runs) -> None:
    ended = await runs.execute("pays", how="subgraph", tool="issue_refund", args=REFUND)
    assert (ended.code, len(ended.effects)) == (None, 1)


async def test_forbid_beats_permit_and_is_named(runs: Runs) -> None:
    ended = await runs.execute("handles", how="call", tool="ledger", args={"amount": 1})
    rule = "slipway.grants[2] (langgraph.json:25)"
    assert ended.results == [f"ToolRefused: {rule} forbids tool 'ledger' to node 'pay' of graph 'handles'"]
    assert ended.audit[0][1]["rule"] == rule


async def test_a_graph_that_a_factory_makes_without_a_node_of_a_rule_is_not_executed(runs: Runs) -> None:
    """The rule forbids something, and would have no effect. A rule with `if_present` may have none."""
    call: dict[str, Any] = {"how": "call", "tool": "lookup_order", "args": REFUND}
    made = await runs.execute("makes", **call)
    assert (made.code, made.message[:48]) == ("tool.denied", "slipway.grants[5] (langgraph.json:28) forbids to")
    run = await runs.start("makes", config={"configurable": {"node": "chatt"}}, **call)
    misspelt = await runs.finish(run)
    problem = "langgraph.json:28: slipway.grants[5].nodes[0]: there is no node 'chat' in 'makes'; did you mean 'chatt'?"
    assert (misspelt.code, misspelt.message.startswith(problem)) == ("graph.unavailable", True), misspelt.message


@pytest.mark.parametrize("tool", ["issue_refund", "send_mail"])
async def test_a_thread_without_the_context_of_the_node_calls_no_tool(runs: Runs, tool: str) -> None:
    args = {"to": "x"} if tool == "send_mail" else REFUND
    ended = await runs.execute("pays", how="empty context", tool=tool, args=args)
    assert (ended.code, ended.effects) == ("tool.denied", [])
    assert "was called outside of a run, or in a thread that does not carry the context of a node" in ended.message


async def test_a_process_that_a_node_has_forked_calls_no_tool(runs: Runs, monkeypatch: pytest.MonkeyPatch) -> None:
    """It has the context of the node, and no event loop that would respond."""
    monkeypatch.setattr(entry, "getpid", lambda: 1)
    ended = await runs.execute("in_threads", how="call", tool="send_mail", args={"to": "x"})
    assert (ended.code, ended.effects) == ("tool.denied", [])
    assert "was called in a process that the node has started" in ended.message


async def test_a_tool_that_blocks_is_refused_on_the_event_loop(runs: Runs) -> None:
    ended = await runs.execute("pays", how="blocks the loop", tool="send_mail", args={"to": "x"})
    assert (ended.code, ended.effects) == ("tool.denied", [])
    assert "was called on the event loop: use await tool.ainvoke" in ended.message


@pytest.mark.parametrize(
    ("how", "tool", "args"),
    [
        ("waits for a thread", "send_mail", {"to": "x"}),
        ("batch", "send_mail", {"to": "x"}),
        ("waits for a loop in a thread", "issue_refund", REFUND),
        ("sleeps until a thread has ended", "send_mail", {"to": "x"}),
    ],
)
async def test_a_node_that_blocks_the_event_loop_until_a_thread_has_called_a_tool_fails(
    runs: Runs, monkeypatch: pytest.MonkeyPatch, how: str, tool: str, args: dict[str, Any]
) -> None:
    """Each would wait for the other for ever, and so would all runs of the process."""
    be_impatient(monkeypatch)
    ended = await runs.execute("pays", how=how, tool=tool, args=args)
    assert (ended.code, ended.effects) == ("tool.denied", [])
    assert "the event loop is blocked by the code that waits for this thread" in ended.message


async def test_a_call_that_has_begun_when_the_event_loop_is_blocked_ends(
    runs: Runs, monkeypatch: pytest.MonkeyPatch
) -> None:
    be_impatient(monkeypatch)
    how = "waits for a thread whose call has begun"
    ended = await runs.execute("pays", how=how, tool="search", args={"text": "slow"})
    assert (ended.code, len(ended.effects)) == ("tool.failed", 1)
    assert ended.message.endswith("Whether the tool has had its effect is not known")


def be_impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(thread_calls, "CHECK_EVERY_S", 0.02)
    monkeypatch.setattr(blocked_loop, "WAITS_FOR_THREAD_S", 0.1)
    monkeypatch.setattr(blocked_loop, "BLOCKED_S", 0.3)


async def test_outside_of_a_run_no_tool_is_executed(runs: Runs) -> None:
    tools = runs.tools
    for call in (
        lambda: tools.issue_refund.ainvoke(REFUND),
        lambda: tools.issue_refund.coroutine(**REFUND),
        lambda: tools.lookup_order("a"),
    ):
        with pytest.raises(ToolRefused, match="was called outside of a run"):
            await call()  # type: ignore[no-untyped-call]
    with pytest.raises(ToolRefused, match="was called outside of a run"):
        tools.send_mail.func(to="x")


async def test_an_answer_without_an_approval_executes_nothing(runs: Runs) -> None:
    """The value of LangGraph's interrupt says that the call is approved, but nobody has approved it: the code of the
    graph, or a client of another server, may pass any value."""
    run = await runs.start("pays", how="call", tool="approved_refund", args=REFUND)
    asks = await runs.finish(run)
    assert asks.run.phase == "waiting_for_approval"
    again = await runs.resume(run, {"type": "approve"})
    assert (again.run.phase, again.effects) == ("waiting_for_approval", [])


async def test_a_tool_that_nobody_registered_is_refused(runs: Runs) -> None:
    for graph in ("agent", "plain_agent"):
        message = json.dumps([["unregistered", {"order": "a"}]])
        ended = await runs.execute(graph, messages=[{"role": "user", "content": message}])
        why = "tool 'unregistered' is not registered, and langgraph.json has grants: name it in slipway.tools"
        if graph == "agent":
            assert [m["content"] for m in ended.values["messages"] if m["type"] == "tool"] == [why]
        else:
            assert (ended.code, ended.message) == ("tool.denied", why)
        assert runs.tools.done_by_nobody == []
        assert ended.actions() == ["tool.denied"]
