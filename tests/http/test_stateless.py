"""Stateless runs, through the SDK's client."""

from __future__ import annotations

import re

import httpx
import pytest
from langgraph_sdk.client import LangGraphClient

from slipway.api.routes import stateless_runs
from slipway.redis.keys import Keys
from slipway.redis.pipeline import Pipeline
from slipway.runs.cancel_reasons import BY_DISCONNECT
from tests.waiting import Eventually

pytestmark = pytest.mark.usefixtures("worker")


async def _all_records_are_deleted(pipeline: Pipeline, keys: Keys) -> bool:
    """True if no run has a record, queue entry, lease or checkpoint. Event logs remain for clients that still read."""
    names = [name.decode().removeprefix(keys.prefix) for name in await pipeline.send("KEYS", f"{keys.prefix}:*")]
    kinds = (":run:", ":thread:", ":threads", ":queue", ":leases", ":trash", ":cp:")
    return not [name for name in names if name.startswith(kinds) and not name.endswith((":events", ":queue:waiting"))]


async def test_the_records_of_a_stateless_run_are_deleted_at_its_end(
    sdk: LangGraphClient, pipeline: Pipeline, keys: Keys, eventually: Eventually
) -> None:
    values = await sdk.runs.wait(None, "steps", input={"value": 1})
    assert isinstance(values, dict)
    assert values["value"] == 4
    await eventually(lambda: _all_records_are_deleted(pipeline, keys))


async def test_a_stateless_stream_has_every_event(sdk: LangGraphClient) -> None:
    parts = [part async for part in sdk.runs.stream(None, "steps", input={"value": 1}, stream_mode="updates")]
    assert [part.event for part in parts] == ["metadata", "updates", "updates", "updates"]


async def test_an_interrupt_ends_a_stateless_run(sdk: LangGraphClient) -> None:
    values = await sdk.runs.wait(None, "ask", input={})
    assert isinstance(values, dict)
    assert values["__interrupt__"]


async def test_on_completion_keep_keeps_the_thread(client: httpx.AsyncClient) -> None:
    body = {"assistant_id": "steps", "input": {"value": 1}, "on_completion": "keep"}
    response = await client.post("/runs/wait", json=body)
    run_path = response.headers["location"].removesuffix("/join")
    assert (await client.get(run_path)).json()["status"] == "success"


async def _no_thread(sdk: LangGraphClient) -> bool:
    return await sdk.threads.count() == 0


async def test_a_batch_creates_all_runs_or_none(
    client: httpx.AsyncClient, sdk: LangGraphClient, eventually: Eventually
) -> None:
    runs = await sdk.runs.create_batch([{"assistant_id": "steps", "input": {"value": n}} for n in range(3)])  # type: ignore[typeddict-item]
    assert len({run["run_id"] for run in runs}) == 3
    assert all(run["kwargs"]["temporary"] for run in runs)  # type: ignore[typeddict-item]
    assert (await client.post("/runs/batch", json=[])).status_code == 422
    resumes = [{"assistant_id": "steps", "input": {}}, {"assistant_id": "steps", "command": {"resume": 1}}]
    assert (await client.post("/runs/batch", json=resumes)).status_code == 400
    await eventually(lambda: _no_thread(sdk))  # the threads of the batch are deleted with their runs
    with_keep = {"assistant_id": "steps", "input": {}, "on_completion": "keep"}
    assert (
        await client.post("/runs/batch", json=[with_keep, with_keep | {"assistant_id": "nobody"}])
    ).status_code == 422
    invalid = await client.post("/runs/batch", json=[with_keep, with_keep | {"config": {"tags": "x"}}])
    assert (invalid.status_code, invalid.json()["field"]) == (422, "[1].config.tags")
    assert await _no_thread(sdk)


async def test_response_headers_contain_the_path_of_a_stateless_run(client: httpx.AsyncClient) -> None:
    response = await client.post("/runs", json={"assistant_id": "steps", "input": {"value": 1}})
    assert response.headers["content-location"] == f"/runs/{response.json()['run_id']}"
    with_keep = {"assistant_id": "steps", "input": {}, "on_completion": "keep"}
    async with client.stream("POST", "/runs/stream", json=with_keep) as stream:
        run_path = stream.headers["content-location"]
        assert stream.headers["location"] == f"{run_path}/stream"
    for query in ("", "?end=true"):
        async with client.stream("GET", f"{run_path}/stream{query}", headers={"last-event-id": "-1"}) as joined:
            assert (joined.headers["location"], joined.headers["content-location"]) == (f"{run_path}/stream", run_path)
    async with client.stream("POST", "/runs/wait", json=with_keep) as wait_response:
        path_in_thread = wait_response.headers["content-location"]
        assert wait_response.headers["location"] == f"{path_in_thread}/join"
        assert re.fullmatch(r"/threads/[0-9a-f-]{36}/runs/[0-9a-f-]{36}", path_in_thread)


@pytest.mark.parametrize("route", ["stream", "wait"])
async def test_a_disconnect_cancels_only_a_run_with_on_disconnect_cancel(
    client: httpx.AsyncClient, eventually: Eventually, route: str
) -> None:
    body = {"assistant_id": "hold", "input": {"value": 1}, "on_completion": "keep"}
    run_ids = []
    for options in ({}, {"on_disconnect": "cancel"}):
        async with client.stream("POST", f"/runs/{route}", json=body | options) as response:
            run_ids.append(response.headers["content-location"].rpartition("/")[2])

    async def statuses_and_causes() -> list[tuple[str, str | None]]:
        threads = [each["thread_id"] for each in (await client.post("/threads/search", json={})).json()]
        runs = [run for thread in threads for run in (await client.get(f"/threads/{thread}/runs")).json()]
        return [
            (run["status"], run.get("cancel_cause")) for run_id in run_ids for run in runs if run["run_id"] == run_id
        ]

    async def cancelled() -> bool:
        return (await statuses_and_causes())[1] == ("interrupted", BY_DISCONNECT)

    await eventually(cancelled)
    assert (await statuses_and_causes())[0] in (("running", None), ("pending", None))


async def test_a_batch_beyond_the_maximum_is_rejected(
    client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stateless_runs, "MAX_BATCH_RUNS", 3)
    run = {"assistant_id": "steps", "input": {"value": 1}}
    assert (await client.post("/runs/batch", json=[run] * 3)).status_code == 200
    rejected = await client.post("/runs/batch", json=[run] * 4)
    assert (rejected.status_code, rejected.json()["detail"]) == (422, "the body must be a list of 1 to 3 runs")
