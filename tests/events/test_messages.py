"""The channels `messages` and `custom`: chunks of chat models while they stream, and the data that nodes write."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
from langgraph_sdk.client import LangGraphClient

from tests.events.conftest import data_of, is_completed, read_until, start_run

pytestmark = [
    pytest.mark.usefixtures("worker"),
    pytest.mark.filterwarnings("ignore::langchain_core._api.LangChainBetaWarning"),  # of astream_events v3
]

HUMAN: dict[str, Any] = {"messages": [{"type": "human", "content": "hello"}]}
CHUNKS = {
    "say": ["you", " ", "said", " ", "hello"],
    "say_astream": ["by", " ", "astream"],
    "say_events_v2": ["by", " ", "v2"],
    "say_events_v3": ["by", " ", "v3"],
}
WRITTEN = [{"name": "progress", "n": 1}, {"payload": "text"}, {"payload": [1, 2]}, {"no": "name"}]


def chunks_by_node(events: list[dict[str, Any]]) -> dict[str, list[str]]:
    """The texts of the chunks of each node, which must belong to one message."""
    chunks: dict[str, list[str]] = {}
    starts: list[str] = []
    for event in events:
        if event["method"] != "messages":
            continue
        data, node = event["params"]["data"], event["params"]["node"]
        if data["event"] == "message-start":
            starts.append(node)
        if data["event"] == "content-block-delta":
            chunks.setdefault(node, []).append(data["delta"]["text"])
    assert starts == list(chunks)
    return chunks


async def test_only_messages_of_models_are_streamed_in_chunks(client: httpx.AsyncClient, thread: str) -> None:
    await start_run(client, thread, "models", input=HUMAN)
    events = await read_until(client, thread, is_completed)
    assert chunks_by_node(events) == CHUNKS
    assert [message["content"] for message in data_of(events, "values")[-1]["messages"][5:]] == [
        "by hand",
        "a question",
        "4",
        "piece",
    ]


async def test_messages_of_a_plain_run_are_those_of_models(
    client: httpx.AsyncClient, sdk: LangGraphClient, thread: str
) -> None:
    await sdk.threads.create(thread_id=thread)
    await sdk.runs.wait(thread, "models", input=HUMAN)
    parts = [part async for part in sdk.runs.stream(thread, "models", input=HUMAN, stream_mode="messages-tuple")]
    tuples: Any = [part.data for part in parts if part.event == "messages"]
    for node, texts in CHUNKS.items():
        messages = [message for message, metadata in tuples if metadata["langgraph_node"] == node]
        assert len({message["id"] for message in messages}) == 1, node
        if node != "say_events_v3":
            assert [message["content"] for message in messages if message["content"]] == texts
    events = await read_until(client, thread, lambda event: is_completed(event) and event["seq"] >> 30 == 2)
    assert chunks_by_node([event for event in events if event["seq"] >> 30 == 2]) == CHUNKS


async def test_messages_of_the_stream_mode_messages_are_those_of_models(
    client: httpx.AsyncClient, sdk: LangGraphClient, thread: str
) -> None:
    await sdk.threads.create(thread_id=thread)
    parts = [part async for part in sdk.runs.stream(thread, "models", input=HUMAN, stream_mode="messages")]
    assert "messages/complete" in {part.event for part in parts}
    assert {role["role"] for role in _starts(await read_until(client, thread, is_completed))} == {"ai"}
    assert len(_starts(await read_until(client, thread, is_completed))) == len(CHUNKS)


def _starts(events: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [data for data in data_of(events, "messages") if data["event"] == "message-start"]


async def test_custom_data_is_streamed_unchanged(client: httpx.AsyncClient, thread: str) -> None:
    await start_run(client, thread, "models", input=HUMAN)
    assert (
        data_of(await read_until(client, thread, is_completed, channels=["custom", "lifecycle"]), "custom") == WRITTEN
    )
    by_name = await read_until(client, thread, is_completed, channels=["custom:progress", "lifecycle"])
    assert data_of(by_name, "custom") == WRITTEN[:1]
