"""The channels `messages` and `custom`: what chat models say while they say it, and what nodes write as it is."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
from langgraph_sdk.client import LangGraphClient

from tests.events.conftest import completed, named, start, told

pytestmark = [
    pytest.mark.usefixtures("worker"),
    pytest.mark.filterwarnings("ignore::langchain_core._api.LangChainBetaWarning"),  # of astream_events v3
]

HUMAN: dict[str, Any] = {"messages": [{"type": "human", "content": "hello"}]}
SAID = {
    "say": ["you", " ", "said", " ", "hello"],
    "say_astream": ["by", " ", "astream"],
    "say_events_v2": ["by", " ", "v2"],
    "say_events_v3": ["by", " ", "v3"],
}
WRITTEN = [{"name": "progress", "n": 1}, {"payload": "text"}, {"payload": [1, 2]}, {"no": "name"}]


def spoken(events: list[dict[str, Any]]) -> dict[str, list[str]]:
    """Per node the pieces of the one message that it made."""
    pieces: dict[str, list[str]] = {}
    starts: list[str] = []
    for event in events:
        if event["method"] != "messages":
            continue
        data, node = event["params"]["data"], event["params"]["node"]
        if data["event"] == "message-start":
            starts.append(node)
        if data["event"] == "content-block-delta":
            pieces.setdefault(node, []).append(data["delta"]["text"])
    assert starts == list(pieces)
    return pieces


async def test_what_models_say_is_told_piece_by_piece_and_nothing_else(client: httpx.AsyncClient, thread: str) -> None:
    await start(client, thread, "models", input=HUMAN)
    events = await told(client, thread, completed)
    assert spoken(events) == SAID
    assert [message["content"] for message in named(events, "values")[-1]["messages"][5:]] == [
        "by hand",
        "a question",
        "4",
        "piece",
    ]


async def test_messages_of_a_plain_run_are_those_of_models_too(
    client: httpx.AsyncClient, sdk: LangGraphClient, thread: str
) -> None:
    await sdk.threads.create(thread_id=thread)
    await sdk.runs.wait(thread, "models", input=HUMAN)
    parts = [part async for part in sdk.runs.stream(thread, "models", input=HUMAN, stream_mode="messages-tuple")]
    tuples: Any = [part.data for part in parts if part.event == "messages"]
    for node, words in SAID.items():
        mine = [message for message, about in tuples if about["langgraph_node"] == node]
        assert len({message["id"] for message in mine}) == 1, node
        if node != "say_events_v3":
            assert [message["content"] for message in mine if message["content"]] == words
    events = await told(client, thread, lambda event: completed(event) and event["seq"] >> 30 == 2)
    assert spoken([event for event in events if event["seq"] >> 30 == 2]) == SAID


async def test_whole_messages_of_the_older_mode_are_those_of_models(
    client: httpx.AsyncClient, sdk: LangGraphClient, thread: str
) -> None:
    await sdk.threads.create(thread_id=thread)
    parts = [part async for part in sdk.runs.stream(thread, "models", input=HUMAN, stream_mode="messages")]
    assert "messages/complete" in {part.event for part in parts}
    assert {role["role"] for role in _starts(await told(client, thread, completed))} == {"ai"}
    assert len(_starts(await told(client, thread, completed))) == len(SAID)


def _starts(events: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [data for data in named(events, "messages") if data["event"] == "message-start"]


async def test_custom_data_is_as_it_was_written(client: httpx.AsyncClient, thread: str) -> None:
    await start(client, thread, "models", input=HUMAN)
    assert named(await told(client, thread, completed, channels=["custom", "lifecycle"]), "custom") == WRITTEN
    by_name = await told(client, thread, completed, channels=["custom:progress", "lifecycle"])
    assert named(by_name, "custom") == WRITTEN[:1]
