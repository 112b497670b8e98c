"""Calls of one task at the same time: what ends the task does not abandon a tool."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import ormsgpack

from slipway.runs.record import Run
from slipway.tool_gateway.scripts import BeginResult, CallBegin, Go, NeedsApproval, ToolScripts
from tests.tools.conftest import Runs
from tests.waiting import event_loop_iterations


class SlowReplies(ToolScripts):
    """The worker gets the reply that a call may begin when another call has learnt that it needs approval."""

    def __init__(self, runs: Runs) -> None:
        super().__init__(runs.stores.pipeline, runs.stores.shards)
        self._asks = asyncio.Event()

    async def begin(self, arguments: CallBegin) -> BeginResult:
        result = await super().begin(arguments)
        if isinstance(result, NeedsApproval):
            self._asks.set()
        elif isinstance(result, Go):
            await self._asks.wait()
            await event_loop_iterations(50)
        return result


async def undecided(runs: Runs, run: Run) -> tuple[str, str]:
    """The key and the hash of the first call of a run that has not begun."""
    flat = await runs.stores.pipeline.send("HGETALL", runs.stores.keys.thread_calls(run.thread_id))
    records = {
        key.decode(): ormsgpack.unpackb(each)
        for key, each in zip(flat[::2], flat[1::2], strict=True)
        if b":" not in key
    }
    return next((key, record["hash"]) for key, record in records.items() if "begun" not in record)


async def store(runs: Runs, run: Run, field: str, value: bytes) -> None:
    """What people decided about a call, as the script of a review stores it."""
    await runs.stores.pipeline.send("HSET", f"{runs.stores.keys.thread(run.thread_id)}:approvals", field, value)


async def test_a_question_waits_for_the_calls_that_begin(runs: Runs) -> None:
    """LangGraph ends the task of a `ToolNode` with the first interrupt. Without waiting, the tool of the other call
    would be executed when its run has ended: its result could not be stored, and the next attempt would repeat it."""
    run = await runs.start("tool_node", tool="approved_refund", args={"order": "a"}, times=2)
    await runs.finish(run)
    key, digest = await undecided(runs, run)
    await store(runs, run, key, ormsgpack.packb({"hash": digest, "count": 1, "by": ["ann"], "review_id": "r"}))
    slow = replace(runs, services=replace(runs.services, scripts=SlowReplies(runs)))
    asks = await slow.resume(run, {"type": "approve"})
    assert (asks.run.phase, len(asks.effects)) == ("waiting_for_approval", 1)
    assert "tool.called" in asks.actions(), "the result is stored"
    key, digest = await undecided(runs, run)
    await store(runs, run, f"{key}:{digest}", b'{"kind": "reject", "message": ""}')
    ended = await runs.resume(asks.run, {"type": "reject"})
    assert (ended.run.phase, len(ended.effects)) == ("completed", 1)
    assert sorted(m["status"] for m in ended.values["messages"] if m["type"] == "tool") == ["error", "success"]


async def test_tools_whose_calls_both_need_approval_do_not_wait_for_each_other(runs: Runs) -> None:
    async with asyncio.timeout(20):
        run = await runs.start("tool_node", tool="calls_approved_refund", args={"order": "a"}, times=2)
        asks = await runs.finish(run)
    assert asks.run.phase == "waiting_for_approval", asks.message


async def test_people_are_asked_although_the_node_catches_the_question(runs: Runs) -> None:
    run = await runs.start("catches_the_question", how="call", tool="approved_refund", args={"order": "a"})
    asks = await runs.finish(run)
    assert (asks.run.phase, asks.effects, asks.results) == ("waiting_for_approval", [], [])
    key, digest = await undecided(runs, run)
    await store(runs, run, key, ormsgpack.packb({"hash": digest, "count": 1, "by": ["ann"], "review_id": "r"}))
    ended = await runs.resume(asks.run, {"type": "approve"})
    assert (ended.run.phase, ended.results, len(ended.effects)) == ("completed", ["a"], 1)
