"""The stream modes `tools` and `lifecycle` of plain runs, which SDKs know, and as the event protocol tells them."""

from __future__ import annotations

from typing import Any, get_args

import httpx
import pytest
from langgraph_sdk.client import LangGraphClient
from langgraph_sdk.schema import StreamMode

from tests.events.conftest import completed, named, told

pytestmark = pytest.mark.usefixtures("worker")

HUMAN: dict[str, Any] = {"messages": [{"type": "human", "content": "hello", "id": "h1"}]}


async def streamed(sdk: LangGraphClient, graph: str, given: Any, mode: Any, **more: Any) -> list[tuple[str, Any]]:
    """Name and data of each event of a new thread's run."""
    thread: Any = await sdk.threads.create()
    parts = sdk.runs.stream(thread["thread_id"], graph, input=given, stream_mode=mode, **more)
    return [(part.event, part.data) async for part in parts]


@pytest.mark.parametrize("mode", get_args(StreamMode))
async def test_every_mode_that_the_sdk_knows_is_served(sdk: LangGraphClient, mode: str) -> None:
    events = await streamed(sdk, "steps", {"until": 1}, mode, params={"end": "true"})
    assert (events[0][0], events[-1][0]) == ("metadata", "end")


async def test_tools(sdk: LangGraphClient) -> None:
    events = [data for name, data in await streamed(sdk, "agent", HUMAN, ["tools"]) if name == "tools"]
    of_one = [event for event in events if event["toolCallId"] == "call-1"]
    assert of_one[0] == {"event": "on_tool_start", "toolCallId": "call-1", "name": "double", "input": {"number": 21}}
    assert [event["event"] for event in of_one] == ["on_tool_start", "on_tool_end"]
    assert (of_one[1]["name"], of_one[1]["output"]["content"]) == ("double", "42")
    (failed,) = [event for event in events if event["event"] == "on_tool_error"]  # tools run side by side
    assert failed == {"event": "on_tool_error", "toolCallId": "call-2", "name": "fail", "error": "no luck with 3"}


async def test_lifecycle_tells_of_the_graphs_inside_alone(sdk: LangGraphClient) -> None:
    events = await streamed(sdk, "outer", {"until": 1}, ["lifecycle", "updates"], interrupt_before=["holds"])
    inside = [(name, data) for name, data in events if name.startswith("lifecycle")]
    (namespace,) = {tuple(data["namespace"]) for _, data in inside}
    assert namespace[0].startswith("steps:")
    assert [(name, data["event"]) for name, data in inside] == [
        (f"lifecycle|{namespace[0]}", "started"),
        (f"lifecycle|{namespace[0]}", "completed"),
    ]
    assert {name for name, _ in events} - {name for name, _ in inside} == {"metadata", "updates"}


async def test_lifecycle_names_the_call_the_failure_and_the_question(sdk: LangGraphClient) -> None:
    async def inside(graph: str, given: Any) -> list[dict[str, Any]]:
        events = await streamed(sdk, graph, given, "lifecycle")
        return [data for name, data in events if name.startswith("lifecycle")]

    started, ended = await inside("consulting", HUMAN)
    assert (started["event"], started["tool_call_id"]) == ("started", "call-9")
    assert (ended["event"], ended["tool_call_id"]) == ("completed", "call-9")
    assert [event["event"] for event in await inside("team", HUMAN)] == ["started", "interrupted"]
    broken = (await inside("fragile", {}))[-1]
    assert (broken["event"], broken["error"]) == ("failed", {"error": "ValueError", "message": "it broke"})


async def test_they_are_told_by_the_event_protocol(client: httpx.AsyncClient, sdk: LangGraphClient) -> None:
    thread: Any = await sdk.threads.create()
    await sdk.runs.create(thread["thread_id"], "consulting", input=HUMAN, stream_mode=["tools", "lifecycle"])
    heard = await told(client, thread["thread_id"], completed)
    assert [(data["event"], data["tool_call_id"]) for data in named(heard, "tools")] == [
        ("tool-started", "call-9"),
        ("tool-finished", "call-9"),
    ]
    inner = [event["params"]["data"]["event"] for event in heard if event["params"]["namespace"]]
    assert inner == ["started", "completed"]
