"""Retrying runs, skipping nodes and editing states."""

from __future__ import annotations

from typing import Any

import pytest

from slipway.runs.record import new_id
from slipway_workers.process import WorkerProcess
from tests.switches.conftest import Desk


async def failed_run(desk: Desk, graph: str = "chain", node: str = "second") -> dict[str, Any]:
    """A run that failed in a node."""
    desk.project.FAILS.add(node)
    run = await desk.start(graph, metadata={"order": 7}, config={"tags": ["blue"]})
    failed = await desk.until(run, "failed")
    desk.project.FAILS.clear()
    return failed


async def paused_run(desk: Desk, graph: str = "chain", node: str = "second") -> dict[str, Any]:
    """A run that is paused before a node."""
    await desk.put(f"graphs/{graph}/nodes/{node}")
    return await desk.until(await desk.start(graph), "paused")


async def test_a_failed_run_is_retried_from_its_last_checkpoint(desk: Desk, worker: WorkerProcess) -> None:
    failed = await failed_run(desk)
    retried = await desk.operate(failed, "retry", reason="provider is up again")
    assert retried["changed"]
    run = await desk.until(retried["run"], "completed")
    assert desk.ran(run) == ["first", "second", "second", "third"]
    assert await desk.log_of(run) == ["first", "second", "third"]
    assert (run["resumes"], run["retries"]) == (failed["run_id"], failed["run_id"])
    assert run["usage"]["steps"] == failed["usage"]["steps"] + 2 - 1, "the failed superstep is executed again"
    assert run["metadata"]["order"] == 7
    assert run["kwargs"]["config"]["tags"] == ["blue"]
    assert (await desk.read(failed))["retried_by"] == run["run_id"]
    again = await desk.operate(failed, "retry")
    assert (again["run"]["run_id"], again["changed"]) == (run["run_id"], False)
    for each in (failed, run):
        assert await desk.audit(each) == [("run.retried", "anonymous")]


async def test_a_retry_that_fails_can_be_retried(desk: Desk, worker: WorkerProcess) -> None:
    failed = await failed_run(desk)
    later = {"assistant_id": "chain", "input": {"log": ["later"]}, "after_seconds": 60}
    queued = (await desk.client.post(f"/threads/{failed['thread_id']}/runs", json=later)).json()
    await desk.operate(queued, "cancel")  # it has never started
    desk.project.FAILS.add("second")
    first = (await desk.operate(failed, "retry"))["run"]
    await desk.until(first, "failed")
    desk.project.FAILS.clear()
    second = (await desk.operate(first, "retry"))["run"]
    ended = await desk.until(second, "completed")
    assert desk.ran(ended) == ["first", "second", "second", "second", "third"]
    assert ended["usage"]["steps"] > failed["usage"]["steps"]


async def test_a_run_is_retried_from_a_named_checkpoint(desk: Desk, worker: WorkerProcess) -> None:
    """Also after the thread has continued."""
    failed = await failed_run(desk, node="third")
    history = (await desk.client.get(f"/threads/{failed['thread_id']}/history?limit=20")).json()
    (start,) = [state for state in history if state["next"] == ["first"]]
    later = {"assistant_id": "chain", "input": {"log": ["later"]}}
    assert (await desk.client.post(f"/threads/{failed['thread_id']}/runs/wait", json=later)).status_code == 200
    refused = await desk.operate(failed, "retry", status=409)
    assert "name the checkpoint to start from" in refused["detail"]
    await desk.operate(failed, "retry", status=404, checkpoint_id=new_id())
    checkpoint_id = start["checkpoint"]["checkpoint_id"]
    run = (await desk.operate(failed, "retry", checkpoint_id=checkpoint_id))["run"]
    await desk.until(run, "completed")
    assert await desk.log_of(run) == ["first", "second", "third"]


async def test_a_run_that_was_cancelled_before_it_started_is_retried_with_its_input(
    desk: Desk, worker: WorkerProcess
) -> None:
    run = await desk.start("chain", after_seconds=60, input={"log": ["input"]})
    await desk.operate(run, "cancel")
    retried = (await desk.operate(run, "retry"))["run"]
    await desk.until(retried, "completed")
    assert await desk.log_of(run) == ["input", "first", "second", "third"]


@pytest.mark.parametrize(("phase", "why"), [("completed", "only a run that failed"), ("paused", "resume it")])
async def test_a_run_that_did_not_fail_is_not_retried(desk: Desk, worker: WorkerProcess, phase: str, why: str) -> None:
    run = await paused_run(desk) if phase == "paused" else await desk.until(await desk.start("chain"), phase)
    assert why in (await desk.operate(run, "retry", status=409))["detail"]


@pytest.mark.parametrize(("graph", "node"), [("chain", "second"), ("nested", "pay"), ("nested", "sub")])
async def test_a_node_is_skipped(desk: Desk, worker: WorkerProcess, graph: str, node: str) -> None:
    """A node, one in a subgraph, and one that is a subgraph. The switch stays off."""
    run = await paused_run(desk, graph, node)
    skipped = await desk.operate(run, "skip-node", node=node, reason="paid by hand")
    assert skipped["changed"]
    await desk.until(run, "completed")
    assert node not in desk.ran(run)
    assert desk.ran(run)[-1] in ("third", "after")
    assert (await desk.audit(run))[-1] == ("run.node_skipped", "anonymous")


async def test_a_repeated_skip_changes_nothing(desk: Desk, worker: WorkerProcess) -> None:
    gate = desk.close_gate("third")
    run = await paused_run(desk)
    await desk.operate(run, "skip-node", node="second")
    await desk.until_ran(run, "first", "third")
    assert not (await desk.operate(run, "skip-node", node="second"))["changed"]
    assert "pause it first" in (await desk.operate(run, "skip-node", node="third", status=409))["detail"]
    gate.set()
    await desk.until(run, "completed")


async def test_a_node_that_failed_is_skipped_in_a_retry(desk: Desk, worker: WorkerProcess) -> None:
    failed = await failed_run(desk)
    refused = await desk.operate(failed, "skip-node", node="third", status=409)
    assert refused["detail"].endswith("it is not next; next: second")
    run = (await desk.operate(failed, "skip-node", node="second"))["run"]
    await desk.until(run, "completed")
    assert desk.ran(run) == ["first", "second", "third"], "it was executed by the failed run only"
    assert await desk.log_of(run) == ["first", "third"]
    again = await desk.operate(failed, "skip-node", node="second")
    assert (again["run"]["run_id"], again["changed"]) == (run["run_id"], False)


async def test_the_state_of_a_paused_run_is_edited(desk: Desk, worker: WorkerProcess) -> None:
    run = await paused_run(desk)
    await desk.delete("graphs/chain/nodes/second")
    await desk.until(run, "completed")
    await desk.put("graphs/chain/nodes/third")
    run = await desk.until(await desk.start("chain"), "paused")
    edit: dict[str, Any] = {"values": {"log": ["by hand"]}, "as_node": "third", "reason": "done"}
    assert (await desk.operate(run, "edit-state", resume=False, **edit))["run"]["phase"] == "paused"
    assert not (await desk.operate(run, "edit-state", resume=False, **edit))["changed"]
    assert await desk.log_of(run) == ["first", "second", "by hand"]
    assert (await desk.operate(run, "edit-state", **edit))["changed"]
    await desk.until(run, "completed")
    assert desk.ran(run) == ["first", "second"], "the edit took the place of the node"
    assert await desk.log_of(run) == ["first", "second", "by hand"]
    actions = [action for action, _ in await desk.audit(run)]
    assert actions == ["run.paused", "run.state_edited", "run.resumed"]
    entries = (await desk.client.get(f"/ops/runs/{run['run_id']}/audit")).json()["entries"]
    assert [entry["details"]["reason"] for entry in entries[1:]] == ["done", "done"]


async def test_the_state_of_a_failed_run_is_edited_before_a_retry(desk: Desk, worker: WorkerProcess) -> None:
    failed = await failed_run(desk)
    edited = await desk.operate(failed, "edit-state", values={"log": ["by hand"]}, as_node="first")
    run = await desk.until(edited["run"], "completed")
    assert desk.ran(run) == ["first", "second", "second", "third"]
    assert await desk.log_of(run) == ["first", "by hand", "second", "third"]
    again = await desk.operate(failed, "edit-state", values={"log": ["by hand"]}, as_node="first")
    assert (again["run"]["run_id"], again["changed"]) == (run["run_id"], False)


async def test_an_edit_that_the_graph_rejects_changes_nothing(desk: Desk, worker: WorkerProcess) -> None:
    run = await paused_run(desk)
    assert (await desk.operate(run, "edit-state", status=400, values={"log": ["x"]}, as_node="nobody"))["code"]
    assert (await desk.read(run))["phase"] == "paused"
    assert await desk.log_of(run) == ["first"]


async def test_what_finished_beside_a_stopped_node_stays_after_an_edit(desk: Desk, worker: WorkerProcess) -> None:
    """The nodes of the superstep that have finished are not executed again."""
    await desk.put("graphs/wide/nodes/left_two")
    run = await desk.until(await desk.start("wide"), "paused")
    await desk.operate(run, "skip-node", node="left_two")
    await desk.until(run, "completed")
    assert sorted(desk.ran(run)) == ["left_one", "right_one", "right_two"]
