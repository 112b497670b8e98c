"""Query parameters of event streams: `end`, `since_event_id` and `stream_mode`."""

from __future__ import annotations

import asyncio
import re
from typing import Any

import httpx
import pytest
from langgraph_sdk.client import LangGraphClient

from tests.http.conftest import new_thread

pytestmark = pytest.mark.usefixtures("worker")

STEPS: dict[str, Any] = {"assistant_id": "steps", "input": {"value": 1}, "stream_mode": "updates"}
QUICK = STEPS | {"assistant_id": "quick"}
EVENTS = ["metadata", "updates", "updates", "updates"]


def names_in(text: str) -> list[str]:
    """The names of the events of a stream."""
    return re.findall(r"^event: (\S+)", text, re.MULTILINE)


def ids_in(text: str) -> list[str]:
    """The ids of the events of a stream."""
    return re.findall(r"^id: (\S+)", text, re.MULTILINE)


def frames_in(text: str) -> str:
    """A stream without its comments. The number of pings depends on the duration of the stream."""
    return re.sub(r"^:.*\n", "", text, flags=re.MULTILINE)


@pytest.mark.parametrize("body", [STEPS, QUICK], ids=["in a worker", "inline"])
@pytest.mark.parametrize("of_thread", [True, False], ids=["of a thread", "without one"])
async def test_a_stream_has_an_end_event_only_with_the_parameter_end(
    sdk: LangGraphClient, client: httpx.AsyncClient, body: dict[str, Any], of_thread: bool
) -> None:
    path = f"/threads/{await new_thread(sdk)}/runs/stream" if of_thread else "/runs/stream"
    request = body | ({} if of_thread else {"on_completion": "keep"})
    without_end = await client.post(path, json=request)
    assert names_in(without_end.text) == EVENTS
    with_end = await client.post(path, json=request, params={"end": "true"})
    assert names_in(with_end.text) == [*EVENTS, "end"]
    assert '"status":"success"' in with_end.text
    stream_path = f"{with_end.headers['content-location']}/stream"
    from_start = {"last-event-id": "-1"}
    assert names_in((await client.get(stream_path, headers=from_start)).text) == EVENTS
    replayed = await client.get(stream_path, headers=from_start, params={"end": "1"})
    assert frames_in(replayed.text) == frames_in(with_end.text)
    filtered = await client.get(stream_path, headers=from_start, params={"stream_mode": "custom", "end": "1"})
    assert names_in(filtered.text) == ["end"]
    assert (await client.post(path, json=request, params={"end": "perhaps"})).status_code == 422
    assert (await client.get(stream_path, params={"end": "perhaps"})).status_code == 422


async def test_a_client_that_reconnects_after_the_end_event_gets_204(
    sdk: LangGraphClient, client: httpx.AsyncClient
) -> None:
    with_end = await client.post(f"/threads/{await new_thread(sdk)}/runs/stream", json=STEPS, params={"end": "true"})
    stream_path, ids = f"{with_end.headers['content-location']}/stream", ids_in(with_end.text)
    for headers, status in (({"last-event-id": ids[-1]}, 204), ({}, 204), ({"last-event-id": ids[-2]}, 200)):
        response = await client.get(stream_path, headers=headers, params={"end": "true"})
        assert (response.status_code, names_in(response.text)) == (status, ["end"] if status == 200 else [])
        response = await client.get(stream_path, headers=headers)
        assert (response.status_code, response.text) == (200, "")


async def test_the_stream_of_a_thread_has_end_events_only_with_the_parameter_end(
    sdk: LangGraphClient, client: httpx.AsyncClient
) -> None:
    thread = await new_thread(sdk)
    await client.post(f"/threads/{thread}/runs/wait", json=STEPS)
    for query, expected in (("", [*EVENTS, "metadata"]), ("?end=true", [*EVENTS, "end", "metadata"])):
        names: list[str] = []
        async with (
            asyncio.timeout(30),
            client.stream("GET", f"/threads/{thread}/stream{query}", headers={"last-event-id": "-"}) as response,
        ):
            async for line in response.aiter_lines():
                names += names_in(line)
                if names.count("metadata") == 2:
                    break
        assert names == expected


async def test_since_event_id_works_like_the_header_last_event_id(
    sdk: LangGraphClient, client: httpx.AsyncClient
) -> None:
    thread = await new_thread(sdk)
    complete = await client.post(f"/threads/{thread}/runs/stream", json=STEPS)
    stream_path, ids = f"{complete.headers['content-location']}/stream", ids_in(complete.text)
    for event_id, later_ids in (("-1", ids), (ids[1], ids[2:]), ("mock_event_20", [])):
        assert ids_in((await client.get(stream_path, params={"since_event_id": event_id})).text) == later_ids
    with_header = await client.get(stream_path, params={"since_event_id": ids[0]}, headers={"last-event-id": ids[2]})
    assert ids_in(with_header.text) == ids[3:], (
        "a browser that reconnects sends the header with the query of its first request"
    )
    stateless = await client.post("/runs/stream", json=STEPS | {"on_completion": "keep"})
    stream_path, ids = f"{stateless.headers['content-location']}/stream", ids_in(stateless.text)
    assert ids_in((await client.get(stream_path, params={"since_event_id": ids[1]})).text) == ids[2:]
    rejected = await client.get(f"/threads/{thread}/stream", params={"since_event_id": "mock_event_20"})
    assert (rejected.status_code, "since_event_id" in rejected.text) == (422, True)
    async with (
        asyncio.timeout(30),
        client.stream("GET", f"/threads/{thread}/stream", params={"since_event_id": "-"}) as response,
    ):
        async for line in response.aiter_lines():
            if names := names_in(line):
                assert names == ["metadata"]
                break


@pytest.mark.parametrize("event_id", ["99999999999999999999-7", "9" * 90, f"{10**17}-*"])
async def test_the_stream_of_a_thread_from_a_position_in_the_future_has_only_new_events(
    sdk: LangGraphClient, client: httpx.AsyncClient, event_id: str
) -> None:
    thread = await new_thread(sdk)
    await client.post(f"/threads/{thread}/runs/wait", json=STEPS)
    (earlier_run,) = await sdk.runs.list(thread)

    async def first_run_id() -> str:
        async with client.stream("GET", f"/threads/{thread}/stream", headers={"last-event-id": event_id}) as response:
            assert response.status_code == 200
            async for line in response.aiter_lines():
                if run_ids := re.findall(r'^data: \{"run_id":"([^"]+)"', line):
                    return str(run_ids[0])
        return ""

    async with asyncio.timeout(30):
        stream = asyncio.create_task(first_run_id())
        while not stream.done():  # the stream starts at an unknown time after its headers
            await sdk.runs.wait(thread, "steps", input={"value": 1})
        assert (await stream) not in ("", earlier_run["run_id"])


@pytest.mark.parametrize("of_thread", [True, False], ids=["of a thread", "without one"])
async def test_a_joined_stream_has_events_of_subgraphs_if_the_run_streams_them(
    sdk: LangGraphClient, client: httpx.AsyncClient, of_thread: bool
) -> None:
    thread = await new_thread(sdk) if of_thread else None
    body: dict[str, Any] = {
        "assistant_id": "nested",
        "input": {"value": 1},
        "on_completion": "keep",
        "stream_mode": ["updates", "values"],
    }
    subgraph_events: dict[bool, set[str]] = {}
    for subgraphs in (True, False):
        path = f"/threads/{thread}/runs" if thread else "/runs"
        created = await client.post(path, json=body | {"stream_subgraphs": subgraphs})
        stream_path = f"{created.headers['content-location']}/stream"
        names = names_in((await client.get(stream_path, params={"since_event_id": "-1"})).text)
        subgraph_events[subgraphs] = {name.partition(":")[0] for name in names if "|" in name}
        filtered = names_in(
            (await client.get(stream_path, params={"since_event_id": "-1", "stream_mode": "updates"})).text
        )
        assert filtered == [name for name in names if name.partition("|")[0] == "updates"]
    assert subgraph_events == {True: {"updates|child", "values|child"}, False: set()}
