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
    """Their ids."""
    return re.findall(r"^id: (\S+)", text, re.MULTILINE)


def frames_in(text: str) -> str:
    """A stream without its comments: a heartbeat comes whenever nothing else did for a while."""
    return re.sub(r"^:.*\n", "", text, flags=re.MULTILINE)


@pytest.mark.parametrize("body", [STEPS, QUICK], ids=["in a worker", "inline"])
@pytest.mark.parametrize("of_thread", [True, False], ids=["of a thread", "without one"])
async def test_a_stream_has_an_end_event_only_with_the_parameter_end(
    sdk: LangGraphClient, client: httpx.AsyncClient, body: dict[str, Any], of_thread: bool
) -> None:
    place = f"/threads/{await new_thread(sdk)}/runs/stream" if of_thread else "/runs/stream"
    kept = body | ({} if of_thread else {"on_completion": "keep"})
    plain = await client.post(place, json=kept)
    assert names_in(plain.text) == EVENTS
    ending = await client.post(place, json=kept, params={"end": "true"})
    assert names_in(ending.text) == [*EVENTS, "end"]
    assert '"status":"success"' in ending.text
    joined = f"{ending.headers['content-location']}/stream"
    from_start = {"last-event-id": "-1"}
    assert names_in((await client.get(joined, headers=from_start)).text) == EVENTS
    again = await client.get(joined, headers=from_start, params={"end": "1"})
    assert frames_in(again.text) == frames_in(ending.text)
    other = await client.get(joined, headers=from_start, params={"stream_mode": "custom", "end": "1"})
    assert names_in(other.text) == ["end"]
    assert (await client.post(place, json=kept, params={"end": "perhaps"})).status_code == 422
    assert (await client.get(joined, params={"end": "perhaps"})).status_code == 422


async def test_a_client_that_reconnects_after_the_end_event_gets_204(
    sdk: LangGraphClient, client: httpx.AsyncClient
) -> None:
    ending = await client.post(f"/threads/{await new_thread(sdk)}/runs/stream", json=STEPS, params={"end": "true"})
    joined, ids = f"{ending.headers['content-location']}/stream", ids_in(ending.text)
    for headers, status in (({"last-event-id": ids[-1]}, 204), ({}, 204), ({"last-event-id": ids[-2]}, 200)):
        answer = await client.get(joined, headers=headers, params={"end": "true"})
        assert (answer.status_code, names_in(answer.text)) == (status, ["end"] if status == 200 else [])
        answer = await client.get(joined, headers=headers)
        assert (answer.status_code, answer.text) == (200, "")


async def test_the_end_of_each_run_is_in_the_streams_of_threads_that_ask(
    sdk: LangGraphClient, client: httpx.AsyncClient
) -> None:
    thread = await new_thread(sdk)
    await client.post(f"/threads/{thread}/runs/wait", json=STEPS)
    for query, wanted in (("", [*EVENTS, "metadata"]), ("?end=true", [*EVENTS, "end", "metadata"])):
        found: list[str] = []
        async with (
            asyncio.timeout(30),
            client.stream("GET", f"/threads/{thread}/stream{query}", headers={"last-event-id": "-"}) as answer,
        ):
            async for line in answer.aiter_lines():
                found += names_in(line)
                if found.count("metadata") == 2:
                    break
        assert found == wanted


async def test_since_event_id_works_like_the_header_last_event_id(
    sdk: LangGraphClient, client: httpx.AsyncClient
) -> None:
    thread = await new_thread(sdk)
    whole = await client.post(f"/threads/{thread}/runs/stream", json=STEPS)
    joined, ids = f"{whole.headers['content-location']}/stream", ids_in(whole.text)
    for event_id, rest in (("-1", ids), (ids[1], ids[2:]), ("mock_event_20", [])):
        assert ids_in((await client.get(joined, params={"since_event_id": event_id})).text) == rest
    both = await client.get(joined, params={"since_event_id": ids[0]}, headers={"last-event-id": ids[2]})
    assert ids_in(both.text) == ids[3:], "a browser that reconnects sends the header beside its first query"
    stateless = await client.post("/runs/stream", json=STEPS | {"on_completion": "keep"})
    joined, ids = f"{stateless.headers['content-location']}/stream", ids_in(stateless.text)
    assert ids_in((await client.get(joined, params={"since_event_id": ids[1]})).text) == ids[2:]
    refused = await client.get(f"/threads/{thread}/stream", params={"since_event_id": "mock_event_20"})
    assert (refused.status_code, "since_event_id" in refused.text) == (422, True)
    async with (
        asyncio.timeout(30),
        client.stream("GET", f"/threads/{thread}/stream", params={"since_event_id": "-"}) as answer,
    ):
        async for line in answer.aiter_lines():
            if names := names_in(line):
                assert names == ["metadata"]
                break


@pytest.mark.parametrize("event_id", ["99999999999999999999-7", "9" * 90, f"{10**17}-*"])
async def test_a_position_of_a_thread_that_is_in_the_future_is_only_what_is_new(
    sdk: LangGraphClient, client: httpx.AsyncClient, event_id: str
) -> None:
    thread = await new_thread(sdk)
    await client.post(f"/threads/{thread}/runs/wait", json=STEPS)
    (old,) = await sdk.runs.list(thread)

    async def first_run() -> str:
        async with client.stream("GET", f"/threads/{thread}/stream", headers={"last-event-id": event_id}) as answer:
            assert answer.status_code == 200
            async for line in answer.aiter_lines():
                if found := re.findall(r'^data: \{"run_id":"([^"]+)"', line):
                    return str(found[0])
        return ""

    async with asyncio.timeout(30):
        following = asyncio.create_task(first_run())
        while not following.done():  # the stream begins at some moment after its headers
            await sdk.runs.wait(thread, "steps", input={"value": 1})
        assert (await following) not in ("", old["run_id"])


@pytest.mark.parametrize("of_thread", [True, False], ids=["of a thread", "without one"])
async def test_whether_subgraphs_are_streamed_is_remembered_for_who_joins_later(
    sdk: LangGraphClient, client: httpx.AsyncClient, of_thread: bool
) -> None:
    thread = await new_thread(sdk) if of_thread else None
    body: dict[str, Any] = {
        "assistant_id": "nested",
        "input": {"value": 1},
        "on_completion": "keep",
        "stream_mode": ["updates", "values"],
    }
    inside: dict[bool, set[str]] = {}
    for subgraphs in (True, False):
        place = f"/threads/{thread}/runs" if thread else "/runs"
        made = await client.post(place, json=body | {"stream_subgraphs": subgraphs})
        joined = f"{made.headers['content-location']}/stream"
        found = names_in((await client.get(joined, params={"since_event_id": "-1"})).text)
        inside[subgraphs] = {name.partition(":")[0] for name in found if "|" in name}
        only = names_in((await client.get(joined, params={"since_event_id": "-1", "stream_mode": "updates"})).text)
        assert only == [name for name in found if name.partition("|")[0] == "updates"]
    assert inside == {True: {"updates|child", "values|child"}, False: set()}
