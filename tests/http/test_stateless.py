"""Runs without a thread, through the protocol's own client."""

from __future__ import annotations

import httpx
import pytest
from langgraph_sdk.client import LangGraphClient

from app.keyspace.names import Keys
from app.redis.wire import Wire
from tests.conftest import Eventually

pytestmark = pytest.mark.usefixtures("worker")


async def _nothing_left(wire: Wire, keys: Keys) -> bool:
    """No record, queue entry, lease or checkpoint of any run; logs stay for readers that are still there."""
    names = [name.decode().removeprefix(keys.prefix) for name in await wire.send("KEYS", f"{keys.prefix}:*")]
    kinds = (":run:", ":thread:", ":threads", ":queue", ":leases", ":trash", ":cp:")
    return not [name for name in names if name.startswith(kinds) and not name.endswith((":events", ":queue:wake"))]


async def test_wait_answers_and_leaves_nothing(
    sdk: LangGraphClient, wire: Wire, keys: Keys, eventually: Eventually
) -> None:
    values = await sdk.runs.wait(None, "steps", input={"value": 1})
    assert isinstance(values, dict)
    assert values["value"] == 4
    await eventually(lambda: _nothing_left(wire, keys))


async def test_stream_has_every_event(sdk: LangGraphClient) -> None:
    parts = [part async for part in sdk.runs.stream(None, "steps", input={"value": 1}, stream_mode="updates")]
    assert [part.event for part in parts] == ["metadata", "updates", "updates", "updates"]


async def test_an_interrupt_just_ends_it(sdk: LangGraphClient) -> None:
    values = await sdk.runs.wait(None, "ask", input={})
    assert isinstance(values, dict)
    assert values["__interrupt__"]


async def test_the_thread_stays_when_asked(client: httpx.AsyncClient) -> None:
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
    async with client.stream("POST", "/runs/stream", json={"assistant_id": "steps", "input": {}}) as stream:
        place = stream.headers["content-location"]
        assert stream.headers["location"] == f"{place}/stream"
