"""Bulk cancel requests, `on_completion`, and fields of a run that have no effect in Slipway."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import httpx
import pytest
from langgraph_sdk.errors import NotFoundError, UnprocessableEntityError

from tests.compat.conftest import Client, Eventually, hold_started, new_thread

pytestmark = pytest.mark.usefixtures("worker")


async def statuses(sdk: Client, *runs: Any) -> list[str]:
    return [(await sdk.runs.get(run["thread_id"], run["run_id"]))["status"] for run in runs]


async def test_all_runs_of_a_status_are_cancelled(sdk: Client, eventually: Eventually) -> None:
    busy, other = await new_thread(sdk), await new_thread(sdk)
    running = await sdk.runs.create(busy, "hold", input={})
    queued = await sdk.runs.create(busy, "hold", input={"value": 1})
    later = await sdk.runs.create(other, "steps", input={"value": 1}, after_seconds=600)
    await eventually(lambda: hold_started(sdk, busy))
    await sdk.runs.cancel_many(status="pending")
    assert await statuses(sdk, running, queued, later) == ["running", "interrupted", "interrupted"]
    queued = await sdk.runs.create(busy, "hold", input={"value": 1}, after_seconds=600)
    await sdk.runs.cancel_many(status="all")
    await sdk.runs.join(busy, running["run_id"])
    assert await statuses(sdk, running, queued) == ["interrupted", "interrupted"]
    with pytest.raises(NotFoundError):
        await sdk.runs.cancel_many(status="running")


async def test_the_listed_runs_are_cancelled(sdk: Client, eventually: Eventually) -> None:
    thread = await new_thread(sdk)
    runs = [await sdk.runs.create(thread, "steps", input={"value": 1}, after_seconds=600) for _ in range(3)]
    run_ids = [runs[0]["run_id"], runs[2]["run_id"], str(uuid4())]
    await sdk.runs.cancel_many(thread_id=thread, run_ids=run_ids, action="rollback")
    assert [run["run_id"] for run in await sdk.runs.list(thread)] == [runs[1]["run_id"]]
    with pytest.raises(NotFoundError):
        await sdk.runs.cancel_many(thread_id=thread, run_ids=run_ids)
    with pytest.raises(NotFoundError):
        await sdk.runs.cancel_many(thread_id=str(uuid4()), run_ids=[runs[1]["run_id"]])


async def test_a_bulk_cancel_has_either_a_status_or_a_thread_with_run_ids(
    sdk: Client, client: httpx.AsyncClient
) -> None:
    record_id = str(uuid4())
    for body in (
        {},
        {"status": "success"},
        {"thread_id": record_id},
        {"run_ids": [record_id]},
        {"thread_id": record_id, "run_ids": []},
        {"thread_id": record_id, "run_ids": [record_id], "status": "all"},
        {"thread_id": record_id, "status": "all"},
    ):
        assert (await client.post("/runs/cancel", json=body)).status_code == 422, body
    with pytest.raises(UnprocessableEntityError):
        await sdk.runs.cancel_many(status="all", action="explode")


async def test_feedback_keys_and_tracers_are_accepted(sdk: Client, client: httpx.AsyncClient) -> None:
    thread = await new_thread(sdk)
    ignored = {"feedback_keys": ["good"], "langsmith_tracer": {"project_name": "p", "example_id": None}}
    body = {"assistant_id": "steps", "input": {"value": 1}, **ignored}
    assert (await client.post(f"/threads/{thread}/runs/wait", json=body)).json()["value"] == 4
    names = [part.event async for part in sdk.runs.stream(thread, "steps", input={"value": 1}, feedback_keys=["good"])]
    assert names[-1] == "values"
    assert (await sdk.runs.list(thread))[0]["kwargs"]["feedback_keys"] == ["good"]


@pytest.mark.parametrize(("on_completion", "thread_exists"), [("delete", False), ("keep", True)])
async def test_on_completion_deletes_or_keeps_the_thread(
    sdk: Client, eventually: Eventually, on_completion: Any, thread_exists: bool
) -> None:
    run = await sdk.runs.create(None, "steps", input={"value": 1}, on_completion=on_completion)

    async def run_ended() -> bool:  # joining the run fails when it was deleted with its thread
        threads = await sdk.threads.search(ids=[run["thread_id"]])
        return not threads or threads[0]["status"] == "idle"

    await eventually(run_ended)
    assert bool(await sdk.threads.search(ids=[run["thread_id"]])) is thread_exists


@pytest.mark.parametrize("command", [{}, {"goto": []}, {"update": None}, {"update": {}, "resume": None}])
async def test_an_empty_command_means_the_same_as_none(client: httpx.AsyncClient, sdk: Client, command: Any) -> None:
    path = f"/threads/{await new_thread(sdk)}/runs/wait"
    body = {"assistant_id": "steps", "input": {"value": 1}, "command": command}
    assert (await client.post(path, json=body)).json()["value"] == 4
    without_input = await client.post(path, json=body | {"input": None})
    assert without_input.status_code == 200
    assert without_input.json().get("__error__", {}).get("error") in (None, "EmptyInputError")
