"""Messages as content blocks: chunks of every type, and the messages that clients build from the blocks."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from langchain_core.language_models.chat_model_stream import ChatModelStream
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage, HumanMessage, ToolMessage

from slipway.event_protocol.message_blocks import MessageStream, plain_messages
from slipway.serialization.json_encoding import dumps


def dumped(message: BaseMessage) -> dict[str, Any]:
    """The message as an event log has it."""
    data: dict[str, Any] = orjson.loads(dumps(message))
    return data


def block_events(*messages: BaseMessage) -> list[dict[str, Any]]:
    """The events of a message that arrives in these chunks."""
    chunks = [dumped(message) for message in messages]
    stream = MessageStream(chunks[0]["id"], {"langgraph_node": "talk"})
    events = [stream.start(chunks[0])]
    for chunk in chunks:
        events.extend(stream.add(chunk))
    return [*events, *stream.finish()]


def assembled(events: list[dict[str, Any]]) -> AIMessage:
    """The message that LangChain builds from the events."""
    reader = ChatModelStream(message_id="m1")
    event: Any
    for event in events:
        reader.dispatch(event)
    return reader.output


def call_chunk(args: str, **fields: Any) -> AIMessageChunk:
    chunk: Any = {"name": None, "id": None, "index": 0, "type": "tool_call_chunk", **fields, "args": args}
    return AIMessageChunk(content="", id="m1", tool_call_chunks=[chunk])


def test_chunks_of_text_are_concatenated() -> None:
    events = block_events(
        AIMessageChunk(content="one ", id="m1"), AIMessageChunk(content="two", id="m1", chunk_position="last")
    )
    assert assembled(events).text == "one two"
    assert {event["id"] for event in events} == {"m1"}


def test_chunks_of_a_tool_call_are_concatenated_and_parsed() -> None:
    events = block_events(
        AIMessageChunk(content="so", id="m1"), call_chunk('{"a"', name="add", id="c1"), call_chunk(": 1}")
    )
    assert [event["content"]["type"] for event in events if event["event"] == "content-block-finish"] == [
        "text",
        "tool_call",
    ]
    (call,) = assembled(events).tool_calls
    assert (call["name"], call["args"], call["id"]) == ("add", {"a": 1}, "c1")


def test_a_tool_call_named_by_each_chunk_is_one_block() -> None:
    events = block_events(*(call_chunk(args, name="add", id="c1") for args in ('{"a"', ": 1", "}")))
    assert [event["delta"]["type"] for event in events if "delta" in event] == ["tool-call-delta"] * 3
    assert [call["args"] for call in assembled(events).tool_calls] == [{"a": 1}]


def test_arguments_that_are_not_json_are_emitted_unchanged() -> None:
    events = block_events(call_chunk('{"a": ', name="add", id="c1"))
    (finished,) = [event["content"] for event in events if event["event"] == "content-block-finish"]
    assert (finished["type"], finished["args"]) == ("invalid_tool_call", '{"a": ')


def test_chunks_of_concurrent_tool_calls_are_separated_by_index() -> None:
    events = block_events(
        call_chunk("{", name="one", id="c1"),
        call_chunk("{", name="two", id="c2", index=1),
        call_chunk("}"),
        call_chunk("}", index=1),
    )
    assert [call["name"] for call in assembled(events).tool_calls] == ["one", "two"]


def test_reasoning_and_text_are_separate_blocks() -> None:
    thought: Any = [{"type": "reasoning", "reasoning": "hm", "index": 0}]
    text: Any = [{"type": "text", "text": "ok", "index": 1}]
    events = block_events(AIMessageChunk(content=thought, id="m1"), AIMessageChunk(content=text, id="m1"))
    types = [event["content"]["type"] for event in events if event["event"] == "content-block-finish"]
    assert types == ["reasoning", "text"]
    assert [event["delta"]["type"] for event in events if "delta" in event] == ["reasoning-delta", "text-delta"]


def test_usage_of_chunks_is_summed() -> None:
    usage: Any = {"input_tokens": 1, "output_tokens": 2, "total_tokens": 3}
    events = block_events(*(AIMessageChunk(content="x", id="m1", usage_metadata=usage) for _ in range(2)))
    assert events[-1]["usage"] == {"input_tokens": 2, "output_tokens": 4, "total_tokens": 6}


@pytest.mark.parametrize(
    ("message", "role"),
    [(HumanMessage("hi", id="m1"), "human"), (ToolMessage("42", tool_call_id="c1", id="m1"), "tool")],
)
def test_complete_messages_have_their_role(message: BaseMessage, role: str) -> None:
    events = block_events(message)
    assert events[0]["role"] == role
    assert events[0].get("tool_call_id") == getattr(message, "tool_call_id", None)


def test_only_messages_are_converted_to_plain_messages() -> None:
    plain = {"type": "human", "content": "a form field", "list": [{"type": "ai"}]}
    assert plain_messages(plain) == plain
    converted = plain_messages({"messages": [dumped(AIMessage("hi", id="m1"))]})["messages"][0]
    assert converted == {"type": "ai", "content": "hi", "id": "m1", "tool_calls": [], "invalid_tool_calls": []}
