"""Pausing and resuming runs that execute, seen by their clients."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
import pytest

from slipway.graphs.registry import Registry
from slipway.settings import Settings
from slipway_workers.process import WorkerProcess
from tests.http.conftest import Client, new_thread
from tests.switches.conftest import Desk
from tests.worker import running_worker


@pytest.mark.parametrize("graph", ["chain", "quick"], ids=["in a worker", "inline"])
async def test_a_run_pauses_before_its_next_superstep_and_continues(
    desk: Desk, worker: WorkerProcess, graph: str
) -> None:
    gate = desk.close_gate("first")
    run = await desk.start(graph)
    await desk.until_ran(run, "first")
    assert (await desk.operate(run, "pause", reason="look at it"))["run"]["phase"] == "running"
    gate.set()
    paused = await desk.until(run, "paused")
    assert (paused["status"], paused["reason"]) == ("pending", "paused by anonymous: look at it")
    assert paused["pause"]["by"] == "anonymous"
    assert desk.ran(run) == ["first"]
    assert (await desk.operate(run, "resume"))["changed"]
    ended = await desk.until(run, "completed")
    assert desk.ran(run) == ["first", "second", "third"]
    assert ended["usage"]["steps"] == 3
    assert await desk.log_of(run) == ["first", "second", "third"]
    assert await desk.audit(run) == [("run.paused", "anonymous"), ("run.resumed", "anonymous")]


async def test_streams_and_waiting_clients_stay_open_while_a_run_is_paused(
    desk: Desk, sdk: Client, worker: WorkerProcess
) -> None:
    gate = desk.close_gate("first")
    thread_id = await new_thread(sdk)
    parts: list[Any] = []

    async def follow() -> None:
        async for part in sdk.runs.stream(thread_id, "chain", input={"log": []}, stream_mode="updates"):
            parts.append(part)

    following = asyncio.create_task(follow())
    await desk.eventually(lambda: parts, beside=following)
    run = {"thread_id": thread_id, "run_id": parts[0].data["run_id"]}
    waiting = asyncio.create_task(sdk.runs.join(thread_id, run["run_id"]))
    await desk.until_ran(run, "first")
    await desk.operate(run, "pause")
    gate.set()
    await desk.until(run, "paused")
    await desk.eventually(lambda: any(part.event == "notice" for part in parts), beside=following)
    assert not waiting.done()
    await desk.operate(run, "resume")
    assert (await asyncio.wait_for(waiting, 10))["log"] == ["first", "second", "third"]
    await asyncio.wait_for(following, 10)
    notices = [part.data["code"] for part in parts if part.event == "notice"]
    assert notices == ["run.paused", "run.resumed"]
    assert [next(iter(part.data)) for part in parts if part.event == "updates"] == ["first", "second", "third"]


async def test_a_paused_run_survives_a_restart_of_all_processes(
    desk: Desk, settings: Settings, graphs: Registry
) -> None:
    gate = desk.close_gate("first")
    async with running_worker(settings, graphs):
        run = await desk.start("chain")
        await desk.until_ran(run, "first")
        await desk.operate(run, "pause")
        gate.set()
        await desk.until(run, "paused")
    async with running_worker(settings, graphs):
        other = await desk.start("chain")
        await desk.until(other, "completed")
        assert (await desk.read(run))["phase"] == "paused"
        await desk.operate(run, "resume")
        await desk.until(run, "completed")
    assert desk.ran(run) == ["first", "second", "third"]


async def test_a_paused_run_is_listed_and_cancelled(
    desk: Desk, client: httpx.AsyncClient, worker: WorkerProcess
) -> None:
    gate = desk.close_gate("first")
    run = await desk.start("chain")
    await desk.until_ran(run, "first")
    await desk.operate(run, "pause")
    gate.set()
    await desk.until(run, "paused")
    listed = (await client.get("/ops/runs", params={"phase": "paused"})).json()["runs"]
    assert [each["run_id"] for each in listed] == [run["run_id"]]
    assert (await desk.operate(run, "cancel", reason="wrong customer"))["changed"]
    cancelled = await desk.until(run, "cancelled")
    assert cancelled["error"]["message"] == "cancelled by anonymous: wrong customer"
    assert desk.ran(run) == ["first"]
    assert await desk.log_of(run) == ["first"]


async def test_an_operation_that_is_not_possible_says_why(desk: Desk, worker: WorkerProcess) -> None:
    run = await desk.start("chain")
    await desk.until(run, "completed")
    refused = await desk.operate(run, "pause", status=409)
    assert refused["detail"] == f"run {run['run_id']} cannot be paused: it has ended"
    assert (refused["code"], refused["phase"]) == ("conflict", "completed")
    unknown = {"run_id": run["thread_id"]}
    assert (await desk.operate(unknown, "resume", status=404))["code"] == "not_found"
    assert (await desk.operate(run, "pause", status=422, reason=3))["field"] == "reason"
