"""An operator who continues a run from another state makes calls of tools that write again only on purpose."""

from __future__ import annotations

from typing import Any

from tests.tools.test_approval import Approvals, approvals, graphs, project, settings
from tests.waiting import wait_until

__all__ = ["approvals", "graphs", "project", "settings"]

NOTE = ("note", {"text": "n"})
NOTED = [("note", "n")]
OPERATIONS: dict[str, dict[str, Any]] = {
    "pause": {},
    "resume": {},
    "cancel": {},
    "retry": {},
    "skip-node": {"node": "pay"},
    "edit-state": {"values": {"answers": []}},
    "ceilings": {"limits": {"max_tool_calls": 10}},
}


class Failed:
    """A run that has made a call of a tool that writes, and failed afterwards."""

    def __init__(self, approvals: Approvals, thread: str, run: dict[str, Any]) -> None:
        self.approvals, self.thread, self.run = approvals, thread, run

    @property
    def effects(self) -> list[Any]:
        return self.approvals.effects(self.thread)

    async def operate(self, operation: str, status: int = 200, **body: Any) -> Any:
        return await self.approvals.desk.post(f"/ops/runs/{self.run['run_id']}/{operation}", body, status=status)

    async def checkpoint_before(self, node: str) -> str:
        history = (await self.approvals.desk.client.get(f"/threads/{self.thread}/history?limit=20")).json()
        return next(str(state["checkpoint"]["checkpoint_id"]) for state in history if node in state["next"])

    async def ended(self, operated: Any) -> list[Any]:
        """The answers of the thread when the run that continues it has completed."""
        path = f"/threads/{self.thread}/runs/{operated['run']['run_id']}"

        async def is_completed() -> bool:
            return bool((await self.approvals.desk.client.get(path)).json()["phase"] == "completed")

        await wait_until(is_completed)
        return await self.approvals.desk.answers(self.thread)


async def failed(approvals: Approvals, graph: str, call: tuple[str, dict[str, Any]] = NOTE) -> Failed:
    """The node `ship` of the run has failed, and would not fail again."""
    thread, _ = await approvals.ask(graph, call)
    (run,) = (await approvals.desk.client.get(f"/threads/{thread}/runs")).json()
    assert run["phase"] == "failed"
    approvals.permit_shipping(thread)
    found = Failed(approvals, thread, run)
    assert found.effects == [(call[0], "n")]
    return found


async def test_a_tool_that_writes_ends_although_another_node_fails(approvals: Approvals) -> None:
    """Whether it has acted would not be known, and the retry would make the call again."""
    run = await failed(approvals, "fails_meanwhile", ("slow_note", {"text": "n"}))
    assert sorted(await run.ended(await run.operate("retry"))) == ["noted n", "shipped"]
    assert run.effects == [("slow_note", "n")]


async def name_the_first_run(last: Failed) -> None:
    """Each operation on the run that asked says that another run continues its chain."""
    desk, last_id = last.approvals.desk, last.run["run_id"]
    runs = (await desk.client.get(f"/threads/{last.thread}/runs")).json()
    first = Failed(last.approvals, last.thread, runs[-1])
    assert first.run["resumed_by"] == last_id
    for operation, body in OPERATIONS.items():
        refused = await first.operate(operation, 409, **body)
        assert (refused["phase"], refused["continued_by"]) == ("completed", last_id), operation
        assert f"run {last_id}, which is failed, continues its chain: name that run" in refused["detail"]


async def test_an_answer_run_that_reached_a_ceiling_continues_when_it_is_raised(approvals: Approvals) -> None:
    """One of its tasks has taken its answer, and the other one not yet."""
    desk, calls = approvals.desk, [("refund", {"order": order}) for order in "ab"]
    thread = (await desk.client.post("/threads", json={})).json()["thread_id"]
    ceilings = {"config": {"configurable": {"ceilings": {"max_tool_calls": 1}}}}
    body = {"assistant_id": "parallel", "input": {"calls": calls, "answers": []}, **ceilings}
    await desk.post(f"/threads/{thread}/runs/wait", body)
    for review in await desk.reviews(thread):
        decided = await desk.decide(review, {"kind": "approve"})
    run = Failed(approvals, thread, {"run_id": decided["resumed_by"]})
    path = f"/threads/{thread}/runs/{decided['resumed_by']}"

    async def has_failed() -> bool:
        return bool((await desk.client.get(path)).json()["phase"] == "failed")

    await wait_until(has_failed)
    assert len(run.effects) <= 1
    await name_the_first_run(run)
    raised = await run.operate("ceilings", limits={"max_tool_calls": 10}, resume=True)
    refused = await run.operate("ceilings", 409, limits={"max_tool_calls": 20})
    assert refused["continued_by"] == raised["run"]["run_id"]
    assert sorted(await run.ended(raised)) == ["refunded a: 1.0", "refunded b: 1.0"]
    assert sorted(run.effects) == [("refund", "a", 1.0), ("refund", "b", 1.0)]


async def test_a_ceiling_that_is_raised_while_a_run_waits_holds_for_the_run_that_answers(approvals: Approvals) -> None:
    """Also if the answer has a lower ceiling of its own."""
    desk, low = approvals.desk, {"config": {"configurable": {"ceilings": {"max_tool_calls": 1}}}}
    thread = (await desk.client.post("/threads", json={})).json()["thread_id"]
    graph_input = {"calls": [("refund", {"order": "a"}), NOTE], "answers": []}
    await desk.post(f"/threads/{thread}/runs/wait", {"assistant_id": "sequence", "input": graph_input, **low})
    (waiting,) = (await desk.client.get(f"/threads/{thread}/runs")).json()
    run = Failed(approvals, thread, waiting)
    await run.operate("ceilings", limits={"max_tool_calls": 10})
    answer = {"assistant_id": "sequence", "command": {"resume": {"type": "approve"}}, **low}
    await desk.post(f"/threads/{thread}/runs/wait", answer)
    assert run.effects == [("refund", "a", 1.0), ("note", "n")]


async def test_a_retry_makes_no_call_again_unless_it_is_permitted(approvals: Approvals) -> None:
    run = await failed(approvals, "in_a_row")
    checkpoint = await run.checkpoint_before("plan")
    refused = await run.operate("retry", 409, checkpoint_id=checkpoint)
    assert refused["code"] == "operation.repeats"
    assert "note in node pay. Retry it from its last checkpoint" in refused["detail"]
    assert [(call["tool"], call["node"]) for call in refused["calls"]] == [("note", "pay")]
    retried = await run.operate("retry", checkpoint_id=checkpoint, repeat=True)
    assert await run.ended(retried) == ["planned", "noted n", "shipped"]
    assert run.effects == NOTED * 2
    assert (await run.operate("retry", checkpoint_id=checkpoint))["run"]["run_id"] == retried["run"]["run_id"]

    run = await failed(approvals, "in_a_row")
    retried = await run.operate("retry", checkpoint_id=await run.checkpoint_before("ship"))
    assert await run.ended(retried) == ["planned", "noted n", "shipped"], "the checkpoint follows the call"
    assert run.effects == NOTED

    body = {"assistant_id": "in_a_row", "input": {"calls": [], "answers": []}, "after_seconds": 60}
    other = Failed(approvals, run.thread, await approvals.desk.post(f"/threads/{run.thread}/runs", body))
    await other.operate("cancel")
    refused = await other.operate("retry", 409, checkpoint_id=await run.checkpoint_before("plan"))
    assert "belongs to another chain" in refused["detail"]

    run = await failed(approvals, "in_one_node")
    assert await run.ended(await run.operate("retry")) == ["planned", "noted n", "shipped", "planned"]
    assert run.effects == NOTED, "the call returned its result"

    run = await failed(approvals, "in_one_node")
    state = {"values": {"answers": ["edited"]}, "as_node": "plan"}
    await approvals.desk.post(f"/threads/{run.thread}/state", state)
    refused = await run.operate("retry", 409)
    assert "note in node pay" in refused["detail"], "a client has led the run back"
    await run.ended(await run.operate("retry", repeat=True))
    assert run.effects == NOTED * 2


async def test_an_edit_makes_no_call_again_unless_it_is_permitted(approvals: Approvals) -> None:
    for as_node in (None, "plan"):
        run = await failed(approvals, "in_one_node")
        edit: dict[str, Any] = {"values": {"answers": ["edited"]}, "as_node": as_node}
        assert (await run.operate("edit-state", 409, **edit))["code"] == "operation.repeats"
        answers = await run.ended(await run.operate("edit-state", **edit, repeat=True))
        assert answers == ["planned", "edited", "noted n", "shipped", "planned"]
        assert run.effects == NOTED * 2

    run = await failed(approvals, "in_one_node")
    edited = await run.operate("edit-state", values={"answers": ["by hand"]}, as_node="pay")
    assert await run.ended(edited) == ["planned", "by hand", "planned"], "it takes the place of the node of the call"
    assert run.effects == NOTED

    for as_node in ("__start__", "__input__"):
        run = await failed(approvals, "jumps")
        refused = await run.operate("edit-state", 409, values={"answers": []}, as_node=as_node)
        assert "note in node pay" in refused["detail"], "no edge leads to it, but the run has gone there"
    refused = await run.operate("edit-state", 422, values={"answers": ["dropped"]}, as_node="__copy__")
    assert refused["field"] == "as_node"

    run = await failed(approvals, "in_a_row")
    refused = await run.operate("edit-state", 409, values={"answers": ["edited"]}, as_node="plan")
    assert "note in node pay" in refused["detail"], "it would lead far back"
    edited = await run.operate("edit-state", values={"answers": ["x"]})
    assert await run.ended(edited) == ["planned", "noted n", "x", "shipped"]
    assert run.effects == NOTED


async def test_an_edit_discards_no_result_of_a_node_that_has_finished(approvals: Approvals) -> None:
    client = approvals.desk.client
    assert (await client.put("/ops/graphs/beside/nodes/ship")).status_code == 200
    thread = (await client.post("/threads", json={})).json()["thread_id"]
    body = {"assistant_id": "beside", "input": {"calls": [NOTE], "answers": []}}
    run = Failed(approvals, thread, await approvals.desk.post(f"/threads/{thread}/runs", body))

    async def is_paused() -> bool:
        return bool((await client.get(f"/threads/{thread}/runs/{run.run['run_id']}")).json()["phase"] == "paused")

    await wait_until(is_paused)
    refused = await run.operate("edit-state", 409, values={"answers": ["by hand"]}, as_node="ship")
    assert refused["discarded"] == ["pay"]
    assert await run.ended(await run.operate("skip-node", node="ship")) == ["planned", "noted n"]
    assert run.effects == NOTED
