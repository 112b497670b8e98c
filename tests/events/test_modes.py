"""The stream modes `tools` and `lifecycle` of plain runs, and their events in the event protocol."""

from __future__ import annotations

from typing import Any, get_args

import httpx
import pytest
from langgraph_sdk.client import LangGraphClient
from langgraph_sdk.schema import StreamMode

from tests.events.conftest import data_of, is_completed, read_until

pytestmark = pytest.mark.usefixtures("worker")

HUMAN: dict[str, Any] = {"messages": [{"type": "human", "content": "hello", "id": "h1"}]}


async def streamed(
    sdk: LangGraphClient, graph: str, graph_input: Any, mode: Any, **options: Any
) -> list[tuple[str, Any]]:
    """Name and data of each event of a run on a new thread."""
    thread: Any = await sdk.threads.create()
    parts = sdk.runs.stream(thread["thread_id"], graph, input=graph_input, stream_mode=mode, **options)
    return [(part.event, part.data) async for part in parts]


@pytest.mark.parametrize("mode", get_args(StreamMode))
async def test_every_stream_mode_of_the_sdk_is_served(sdk: LangGraphClient, mode: str) -> None:
    events = await streamed(sdk, "steps", {"until": 1}, mode, params={"end": "true"})
    assert (events[0][0], events[-1][0]) == ("metadata", "end")


async def test_tool_events_of_a_plain_run(sdk: LangGraphClient) -> None:
    events = [data for name, data in await streamed(sdk, "agent", HUMAN, ["tools"]) if name == "tools"]
    of_first_call = [event for event in events if event["toolCallId"] == "call-1"]
    assert of_first_call[0] == {
        "event": "on_tool_start",
        "toolCallId": "call-1",
        "name": "double",
        "input": {"number": 21},
    }
    assert [event["event"] for event in of_first_call] == ["on_tool_start", "on_tool_end"]
    assert (of_first_call[1]["name"], of_first_call[1]["output"]["content"]) == ("double", "42")
    (failed,) = [event for event in events if event["event"] == "on_tool_error"]  # tools run concurrently
    assert failed == {"event": "on_tool_error", "toolCallId": "call-2", "name": "fail", "error": "no luck with 3"}


async def test_lifecycle_events_of_a_plain_run_name_subgraphs_only(sdk: LangGraphClient) -> None:
    events = await streamed(sdk, "outer", {"until": 1}, ["lifecycle", "updates"], interrupt_before=["holds"])
    lifecycle = [(name, data) for name, data in events if name.startswith("lifecycle")]
    (namespace,) = {tuple(data["namespace"]) for _, data in lifecycle}
    assert namespace[0].startswith("steps:")
    assert [(name, data["event"]) for name, data in lifecycle] == [
        (f"lifecycle|{namespace[0]}", "started"),
        (f"lifecycle|{namespace[0]}", "completed"),
    ]
    assert {name for name, _ in events} - {name for name, _ in lifecycle} == {"metadata", "updates"}


async def test_lifecycle_events_name_the_tool_call_the_error_and_the_interrupt(sdk: LangGraphClient) -> None:
    async def subgraph_events(graph: str, graph_input: Any) -> list[dict[str, Any]]:
        events = await streamed(sdk, graph, graph_input, "lifecycle")
        return [data for name, data in events if name.startswith("lifecycle")]

    started, ended = await subgraph_events("consulting", HUMAN)
    assert (started["event"], started["tool_call_id"]) == ("started", "call-9")
    assert (ended["event"], ended["tool_call_id"]) == ("completed", "call-9")
    assert [event["event"] for event in await subgraph_events("team", HUMAN)] == ["started", "interrupted"]
    broken = (await subgraph_events("fragile", {}))[-1]
    assert (broken["event"], broken["error"]) == ("failed", {"error": "ValueError", "message": "it broke"})


async def test_the_event_protocol_emits_tool_and_lifecycle_events_of_a_plain_run(
    client: httpx.AsyncClient, sdk: LangGraphClient
) -> None:
    thread: Any = await sdk.threads.create()
    await sdk.runs.create(thread["thread_id"], "consulting", input=HUMAN, stream_mode=["tools", "lifecycle"])
    events = await read_until(client, thread["thread_id"], is_completed)
    assert [(data["event"], data["tool_call_id"]) for data in data_of(events, "tools")] == [
        ("tool-started", "call-9"),
        ("tool-finished", "call-9"),
    ]
    inner = [event["params"]["data"]["event"] for event in events if event["params"]["namespace"]]
    assert inner == ["started", "completed"]
