"""Cancelling in bulk, and what a run may ask for that changes nothing here."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import httpx
import pytest
from langgraph_sdk.errors import NotFoundError, UnprocessableEntityError

from tests.compat.conftest import Client, Eventually, held, new_thread

pytestmark = pytest.mark.usefixtures("worker")


async def statuses(sdk: Client, *runs: Any) -> list[str]:
    return [(await sdk.runs.get(run["thread_id"], run["run_id"]))["status"] for run in runs]


async def test_all_of_a_status_are_cancelled(sdk: Client, eventually: Eventually) -> None:
    busy, other = await new_thread(sdk), await new_thread(sdk)
    running = await sdk.runs.create(busy, "hold", input={})
    queued = await sdk.runs.create(busy, "hold", input={"value": 1})
    later = await sdk.runs.create(other, "steps", input={"value": 1}, after_seconds=600)
    await eventually(lambda: held(sdk, busy))
    await sdk.runs.cancel_many(status="pending")
    assert await statuses(sdk, running, queued, later) == ["running", "interrupted", "interrupted"]
    queued = await sdk.runs.create(busy, "hold", input={"value": 1}, after_seconds=600)
    await sdk.runs.cancel_many(status="all")
    await sdk.runs.join(busy, running["run_id"])
    assert await statuses(sdk, running, queued) == ["interrupted", "interrupted"]
    with pytest.raises(NotFoundError):
        await sdk.runs.cancel_many(status="running")


async def test_those_named_are_cancelled(sdk: Client, eventually: Eventually) -> None:
    thread = await new_thread(sdk)
    runs = [await sdk.runs.create(thread, "steps", input={"value": 1}, after_seconds=600) for _ in range(3)]
    named = [runs[0]["run_id"], runs[2]["run_id"], str(uuid4())]
    await sdk.runs.cancel_many(thread_id=thread, run_ids=named, action="rollback")
    assert [run["run_id"] for run in await sdk.runs.list(thread)] == [runs[1]["run_id"]]
    with pytest.raises(NotFoundError):
        await sdk.runs.cancel_many(thread_id=thread, run_ids=named)
    with pytest.raises(NotFoundError):
        await sdk.runs.cancel_many(thread_id=str(uuid4()), run_ids=[runs[1]["run_id"]])


async def test_exactly_one_form(sdk: Client, client: httpx.AsyncClient) -> None:
    ident = str(uuid4())
    for wrong in (
        {},
        {"status": "success"},
        {"thread_id": ident},
        {"run_ids": [ident]},
        {"thread_id": ident, "run_ids": []},
        {"thread_id": ident, "run_ids": [ident], "status": "all"},
        {"thread_id": ident, "status": "all"},
    ):
        assert (await client.post("/runs/cancel", json=wrong)).status_code == 422, wrong
    with pytest.raises(UnprocessableEntityError):
        await sdk.runs.cancel_many(status="all", action="explode")


async def test_feedback_keys_and_tracers_are_taken(sdk: Client, client: httpx.AsyncClient) -> None:
    thread = await new_thread(sdk)
    asked = {"feedback_keys": ["good"], "langsmith_tracer": {"project_name": "p", "example_id": None}}
    body = {"assistant_id": "steps", "input": {"value": 1}, **asked}
    assert (await client.post(f"/threads/{thread}/runs/wait", json=body)).json()["value"] == 4
    names = [part.event async for part in sdk.runs.stream(thread, "steps", input={"value": 1}, feedback_keys=["good"])]
    assert names[-1] == "values"
    assert (await sdk.runs.list(thread))[0]["kwargs"]["feedback_keys"] == ["good"]


@pytest.mark.parametrize(("on_completion", "stays"), [("delete", False), ("keep", True)])
async def test_on_completion(sdk: Client, eventually: Eventually, on_completion: Any, stays: bool) -> None:
    run = await sdk.runs.create(None, "steps", input={"value": 1}, on_completion=on_completion)

    async def over() -> bool:  # a run that goes with its thread may be gone before it can be joined
        found = await sdk.threads.search(ids=[run["thread_id"]])
        return not found or found[0]["status"] == "idle"

    await eventually(over)
    assert bool(await sdk.threads.search(ids=[run["thread_id"]])) is stays


@pytest.mark.parametrize("command", [{}, {"goto": []}, {"update": None}, {"update": {}, "resume": None}])
async def test_a_command_that_says_nothing_counts_as_none(client: httpx.AsyncClient, sdk: Client, command: Any) -> None:
    place = f"/threads/{await new_thread(sdk)}/runs/wait"
    body = {"assistant_id": "steps", "input": {"value": 1}, "command": command}
    assert (await client.post(place, json=body)).json()["value"] == 4
    again = await client.post(place, json=body | {"input": None})
    assert again.status_code == 200
    assert again.json().get("__error__", {}).get("error") in (None, "EmptyInputError")
