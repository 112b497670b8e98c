"""Switches, seen by clients and operators: runs stop before what is off, everywhere, and continue."""

from __future__ import annotations

import time
from types import SimpleNamespace
from typing import Any, cast

import pytest

from slipway.errors import NotFound
from slipway.graphs.registry import Registry
from slipway.run_operations.switch_targets import tool_target
from slipway.settings import Settings
from slipway.switches.record import Kind, Target
from slipway.tool_gateway.grants import Policy
from slipway.tool_gateway.registry import RegisteredTool, ToolRegistry
from slipway_workers.process import WorkerProcess
from tests.http.conftest import serving
from tests.switches.conftest import Desk

WITHIN_S = 3.0
"""How soon a switch takes effect: within a second, and more on a busy machine."""


@pytest.mark.parametrize("graph", ["chain", "quick"], ids=["in a worker", "inline"])
async def test_a_run_stops_before_a_node_and_continues(desk: Desk, worker: WorkerProcess, graph: str) -> None:
    gate = desk.close_gate("first")
    run = await desk.start(graph)
    await desk.until_ran(run, "first")
    off = await desk.put(f"graphs/{graph}/nodes/second", reason="wrong amounts")
    assert off["changed"]
    assert (off["switch"]["by"], off["switch"]["reason"]) == ("anonymous", "wrong amounts")
    gate.set()
    paused = await desk.until(run, "paused")
    assert paused["switch"] == f"node:{graph}:second"
    assert paused["reason"] == (
        f"node 'second' of graph {graph!r} is switched off by anonymous: wrong amounts; "
        f"to continue: slipway node enable {graph} second"
    )
    assert desk.ran(run) == ["first"]
    assert (await desk.operate(run, "resume", status=409))["switch"]["name"] == "second"
    assert (await desk.delete(f"graphs/{graph}/nodes/second"))["changed"]
    ended = await desk.until(run, "completed")
    assert desk.ran(run) == ["first", "second", "third"]
    assert ended["usage"]["steps"] == 3
    assert await desk.audit(run) == [("run.paused", "anonymous"), ("switch.enabled", "anonymous")]


async def test_an_unknown_member_switches_nothing_off(desk: Desk) -> None:
    refused = await desk.put("graphs/chain/nodes/second", status=422, enabled=True)
    assert (refused["field"], refused["detail"]) == ("enabled", "enabled: is unknown; this body may have reason")
    assert (await desk.client.get("/ops/switches")).json() == {"switches": []}
    await desk.put("graphs/chain/nodes/second")
    refused = (await desk.client.request("DELETE", "/ops/graphs/chain/nodes/second", json={"dry_run": True})).json()
    assert refused["detail"] == "dry_run: is unknown; this body may have no members"
    assert (await desk.delete("graphs/chain/nodes/second"))["changed"]


async def test_a_run_stops_before_a_node_of_a_subgraph(desk: Desk, worker: WorkerProcess) -> None:
    """`pay` is a synchronous node, which LangGraph executes in a thread."""
    gate = desk.close_gate("draft")
    run = await desk.start("nested")
    await desk.until_ran(run, "before", "draft")
    await desk.put("graphs/nested/nodes/pay")
    gate.set()
    await desk.until(run, "paused")
    assert desk.ran(run) == ["before", "draft"]
    await desk.delete("graphs/nested/nodes/pay")
    ended = await desk.until(run, "completed")
    assert desk.ran(run) == ["before", "draft", "pay", "after"], "no node is executed twice"
    assert await desk.log_of(run) == ["before", "before", "draft", "pay", "after"]
    assert ended["usage"]["steps"] >= 3


@pytest.mark.parametrize(
    "options", [{"durability": "sync"}, {"durability": "exit"}, {"stream_mode": ["events"]}], ids=str
)
async def test_no_node_is_repeated_with_any_option(desk: Desk, worker: WorkerProcess, options: dict[str, Any]) -> None:
    gate = desk.close_gate("before")
    run = await desk.start("nested", **options)
    await desk.until_ran(run, "before")
    await desk.put("graphs/nested/nodes/pay")
    await desk.put("graphs/nested/nodes/after")
    gate.set()
    for node in ("pay", "after"):
        assert (await desk.until(run, "paused"))["switch"] == f"node:nested:{node}"
        await desk.delete(f"graphs/nested/nodes/{node}")
    await desk.until(run, "completed")
    assert desk.ran(run) == ["before", "draft", "pay", "after"]


async def test_a_graph_that_survives_the_stop_pauses_before_its_next_superstep(
    desk: Desk, worker: WorkerProcess
) -> None:
    """The node that calls a graph swallows every exception."""
    gate = desk.close_gate("draft")
    run = await desk.start("called")
    await desk.until_ran(run, "draft")
    await desk.put("graphs/called/nodes/pay")
    gate.set()
    await desk.until(run, "paused")
    assert "pay" not in desk.ran(run)
    await desk.delete("graphs/called/nodes/pay")
    await desk.until(run, "completed")
    assert desk.ran(run)[-1] == "after"


async def test_what_finishes_beside_a_stopped_node_is_not_repeated(desk: Desk, worker: WorkerProcess) -> None:
    gate = desk.close_gate("left_one")
    slow = desk.close_gate("right_two")
    run = await desk.start("wide")
    await desk.eventually(lambda: {"left_one", "right_two"} <= set(desk.ran(run)))
    await desk.put("graphs/wide/nodes/left_two")
    gate.set()
    await desk.eventually(lambda: len(worker.executions.current) == 1)
    slow.set()
    await desk.until(run, "paused")
    assert sorted(desk.ran(run)) == ["left_one", "right_one", "right_two"]
    await desk.delete("graphs/wide/nodes/left_two")
    await desk.until(run, "completed")
    assert sorted(desk.ran(run)) == ["left_one", "left_two", "right_one", "right_two"]


async def test_a_graph_that_is_off_accepts_no_runs_and_stops_all(desk: Desk, worker: WorkerProcess) -> None:
    gate = desk.close_gate("first")
    running, queued = await desk.start("chain"), await desk.start("chain", after_seconds=1)
    other = await desk.start("fails")
    await desk.until_ran(running, "first")
    await desk.put("graphs/chain", reason="audit")
    thread = {"assistant_id": "chain", "input": {}}
    response = await desk.client.post(f"/threads/{running['thread_id']}/runs", json=thread)
    assert response.status_code == 409, response.text
    assert response.json()["code"] == "switch.off"
    assert response.json()["detail"] == ("no new runs are accepted: graph 'chain' is switched off by anonymous: audit")
    assert response.json()["switch"]["reason"] == "audit"
    gate.set()
    await desk.until(other, "completed")
    for run in (running, queued):
        await desk.until(run, "paused")
    assert desk.ran(running) == ["first"]
    assert desk.ran(queued) == []
    await desk.delete("graphs/chain")
    for run in (running, queued):
        await desk.until(run, "completed")
        assert desk.ran(run) == ["first", "second", "third"]


async def test_everything_can_be_paused(desk: Desk, worker: WorkerProcess) -> None:
    gate = desk.close_gate("first")
    running = await desk.start("chain")
    await desk.until_ran(running, "first")
    await desk.put("pause", reason="provider is down")
    new = [await desk.start(graph) for graph in ("chain", "quick", "nested")]
    gate.set()
    for run in (running, *new):
        assert (await desk.until(run, "paused"))["switch"] == "all"
    assert [desk.ran(run) for run in new] == [[], [], []]
    await desk.served.services.health.measure()
    findings = (await desk.client.get("/readyz")).json()["findings"]
    assert "switches.off" in [finding["code"] for finding in findings]
    (switch,) = (await desk.client.get("/ops/switches")).json()["switches"]
    assert (switch["kind"], switch["by"], switch["reason"]) == ("all", "anonymous", "provider is down")
    await desk.delete("pause")
    for run in (running, *new):
        await desk.until(run, "completed")
    assert (await desk.client.get("/ops/switches")).json() == {"switches": []}


async def test_a_switch_takes_effect_within_a_second_without_its_message(
    desk: Desk, worker: WorkerProcess, settings: Settings, graphs: Registry
) -> None:
    """A process that receives no message of the switch reads it."""
    async with serving(settings, graphs) as other:
        other.services.subscriber.unsubscribe(other.services.keys.switch_changes)
        worker.services.subscriber.unsubscribe(worker.services.keys.switch_changes)
        gate = desk.close_gate("first")
        run = await desk.start("chain")
        await desk.until_ran(run, "first")
        desk.others = [other.services, worker.services]
        started = time.monotonic()
        await desk.put("graphs/chain/nodes/second")
        assert time.monotonic() < started + WITHIN_S
        gate.set()
        await desk.until(run, "paused")
        assert desk.ran(run) == ["first"]


async def test_a_run_stops_before_a_tool(desk: Desk, worker: WorkerProcess) -> None:
    """A tool that the project does not register; `tests/tools` has those of the gateway."""
    gate = desk.close_gate("first")
    run = await desk.start("mails")
    await desk.until_ran(run, "first")
    assert (await desk.put("tools/send_mail", reason="spam"))["switch"]["name"] == "send_mail"
    assert not (await desk.put("tools/send_mail"))["changed"]
    gate.set()
    assert (await desk.until(run, "paused"))["switch"] == "tool:send_mail"
    assert desk.ran(run) == ["first", "write_mail"]
    assert (await desk.delete("tools/send_mail"))["changed"]
    await desk.until(run, "completed")
    assert desk.ran(run) == ["first", "write_mail", "write_mail", "send_mail"], "the node that was stopped is repeated"
    assert await desk.log_of(run) == ["first", "sent"]


async def test_a_misspelt_name_is_not_found(desk: Desk) -> None:
    for path, detail in (
        ("graphs/chian", "graph 'chian' not found: langgraph.json names no such graph; did you mean 'chain'?"),
        ("graphs/nested/nodes/pya", "node 'pya' not found: graph 'nested' has no such node; did you mean 'pay'?"),
        ("graphs/chian/nodes/first", "graph 'chian' not found"),
    ):
        assert (await desk.put(path, status=404))["detail"].startswith(detail)
    assert (await desk.client.get("/ops/switches")).json() == {"switches": []}


def test_a_misspelt_tool_is_not_found() -> None:
    tool = SimpleNamespace(name="send_mail", target=SimpleNamespace(langchain_tool=SimpleNamespace(name="send_mail")))
    tools = ToolRegistry(cast("dict[str, RegisteredTool]", {"send_mail": tool}), Policy(None), {}, {})
    assert tool_target(tools, "send_mail") == Target(Kind.TOOL, "send_mail")
    with pytest.raises(NotFound, match="did you mean 'send_mail'"):
        tool_target(tools, "sendmail")
