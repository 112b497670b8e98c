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
from tests.conftest import Eventually

pytestmark = pytest.mark.usefixtures("worker")


async def _nothing_left(pipeline: Pipeline, keys: Keys) -> bool:
    """No record, queue entry, lease or checkpoint of any run; logs stay for readers that are still there."""
    names = [name.decode().removeprefix(keys.prefix) for name in await pipeline.send("KEYS", f"{keys.prefix}:*")]
    kinds = (":run:", ":thread:", ":threads", ":queue", ":leases", ":trash", ":cp:")
    return not [name for name in names if name.startswith(kinds) and not name.endswith((":events", ":queue:wake"))]


async def test_a_stateless_run_leaves_no_records(
    sdk: LangGraphClient, pipeline: Pipeline, keys: Keys, eventually: Eventually
) -> None:
    values = await sdk.runs.wait(None, "steps", input={"value": 1})
    assert isinstance(values, dict)
    assert values["value"] == 4
    await eventually(lambda: _nothing_left(pipeline, keys))


async def test_stream_has_every_event(sdk: LangGraphClient) -> None:
    parts = [part async for part in sdk.runs.stream(None, "steps", input={"value": 1}, stream_mode="updates")]
    assert [part.event for part in parts] == ["metadata", "updates", "updates", "updates"]


async def test_an_interrupt_ends_a_stateless_run(sdk: LangGraphClient) -> None:
    values = await sdk.runs.wait(None, "ask", input={})
    assert isinstance(values, dict)
    assert values["__interrupt__"]


async def test_on_completion_keep_keeps_the_thread(client: httpx.AsyncClient) -> None:
    body = {"assistant_id": "steps", "input": {"value": 1}, "on_completion": "keep"}
    answer = await client.post("/runs/wait", json=body)
    place = answer.headers["location"].removesuffix("/join")
    assert (await client.get(place)).json()["status"] == "success"


async def _no_thread(sdk: LangGraphClient) -> bool:
    return await sdk.threads.count() == 0


async def test_a_batch_is_all_or_none(client: httpx.AsyncClient, sdk: LangGraphClient, eventually: Eventually) -> None:
    runs = await sdk.runs.create_batch([{"assistant_id": "steps", "input": {"value": n}} for n in range(3)])  # type: ignore[typeddict-item]
    assert len({run["run_id"] for run in runs}) == 3
    assert all(run["kwargs"]["temporary"] for run in runs)  # type: ignore[typeddict-item]
    assert (await client.post("/runs/batch", json=[])).status_code == 422
    resumes = [{"assistant_id": "steps", "input": {}}, {"assistant_id": "steps", "command": {"resume": 1}}]
    assert (await client.post("/runs/batch", json=resumes)).status_code == 400
    await eventually(lambda: _no_thread(sdk))  # those of the batch go with their runs
    kept = {"assistant_id": "steps", "input": {}, "on_completion": "keep"}
    assert (await client.post("/runs/batch", json=[kept, kept | {"assistant_id": "nobody"}])).status_code == 422
    wrong = await client.post("/runs/batch", json=[kept, kept | {"config": {"tags": "x"}}])
    assert (wrong.status_code, wrong.json()["field"]) == (422, "[1].config.tags")
    assert await _no_thread(sdk)


async def test_headers_lead_to_the_run(client: httpx.AsyncClient) -> None:
    answer = await client.post("/runs", json={"assistant_id": "steps", "input": {"value": 1}})
    assert answer.headers["content-location"] == f"/runs/{answer.json()['run_id']}"
    kept = {"assistant_id": "steps", "input": {}, "on_completion": "keep"}
    async with client.stream("POST", "/runs/stream", json=kept) as stream:
        place = stream.headers["content-location"]
        assert stream.headers["location"] == f"{place}/stream"
    for query in ("", "?end=true"):
        async with client.stream("GET", f"{place}/stream{query}", headers={"last-event-id": "-1"}) as again:
            assert (again.headers["location"], again.headers["content-location"]) == (f"{place}/stream", place)
    async with client.stream("POST", "/runs/wait", json=kept) as waits:
        of_thread = waits.headers["content-location"]
        assert waits.headers["location"] == f"{of_thread}/join"
        assert re.fullmatch(r"/threads/[0-9a-f-]{36}/runs/[0-9a-f-]{36}", of_thread)


@pytest.mark.parametrize("route", ["stream", "wait"])
async def test_leaving_cancels_only_when_asked(client: httpx.AsyncClient, eventually: Eventually, route: str) -> None:
    body = {"assistant_id": "hold", "input": {"value": 1}, "on_completion": "keep"}
    left = []
    for more in ({}, {"on_disconnect": "cancel"}):
        async with client.stream("POST", f"/runs/{route}", json=body | more) as answer:
            left.append(answer.headers["content-location"].rpartition("/")[2])

    async def standing() -> list[tuple[str, str | None]]:
        threads = [one["thread_id"] for one in (await client.post("/threads/search", json={})).json()]
        runs = [run for thread in threads for run in (await client.get(f"/threads/{thread}/runs")).json()]
        return [(run["status"], run.get("cancel_cause")) for ident in left for run in runs if run["run_id"] == ident]

    async def cancelled() -> bool:
        return (await standing())[1] == ("interrupted", BY_DISCONNECT)

    await eventually(cancelled)
    assert (await standing())[0] in (("running", None), ("pending", None))


async def test_a_batch_beyond_the_maximum_is_rejected(
    client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stateless_runs, "MAX_BATCH_RUNS", 3)
    one = {"assistant_id": "steps", "input": {"value": 1}}
    assert (await client.post("/runs/batch", json=[one] * 3)).status_code == 200
    refused = await client.post("/runs/batch", json=[one] * 4)
    assert (refused.status_code, refused.json()["detail"]) == (422, "the body must be a list of 1 to 3 runs")
