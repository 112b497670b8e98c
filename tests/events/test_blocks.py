"""Messages as content blocks: chunks of every kind, and what clients put together from them."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from langchain_core.language_models.chat_model_stream import ChatModelStream
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage, HumanMessage, ToolMessage

from slipway.event_protocol.message_blocks import MessageStream, plain_messages
from slipway.serialization.json_encoding import dumps


def dumped(message: BaseMessage) -> dict[str, Any]:
    """As a log has it."""
    data: dict[str, Any] = orjson.loads(dumps(message))
    return data


def told(*messages: BaseMessage) -> list[dict[str, Any]]:
    """The events of a message that comes in these parts."""
    parts = [dumped(message) for message in messages]
    speech = MessageStream(parts[0]["id"], {"langgraph_node": "talk"})
    events = [speech.start(parts[0])]
    for part in parts:
        events.extend(speech.add(part))
    return [*events, *speech.finish()]


def put_together(events: list[dict[str, Any]]) -> AIMessage:
    """The message that LangChain's own reader makes of the events."""
    reader = ChatModelStream(message_id="m1")
    event: Any
    for event in events:
        reader.dispatch(event)
    return reader.output


def calling(args: str, **named: Any) -> AIMessageChunk:
    chunk: Any = {"name": None, "id": None, "index": 0, "type": "tool_call_chunk", **named, "args": args}
    return AIMessageChunk(content="", id="m1", tool_call_chunks=[chunk])


def test_text_grows() -> None:
    events = told(
        AIMessageChunk(content="one ", id="m1"), AIMessageChunk(content="two", id="m1", chunk_position="last")
    )
    assert put_together(events).text == "one two"
    assert {event["id"] for event in events} == {"m1"}


def test_a_tool_call_grows_and_is_parsed() -> None:
    events = told(AIMessageChunk(content="so", id="m1"), calling('{"a"', name="add", id="c1"), calling(": 1}"))
    assert [event["content"]["type"] for event in events if event["event"] == "content-block-finish"] == [
        "text",
        "tool_call",
    ]
    (call,) = put_together(events).tool_calls
    assert (call["name"], call["args"], call["id"]) == ("add", {"a": 1}, "c1")


def test_a_tool_call_that_each_chunk_names_is_named_once() -> None:
    events = told(*(calling(args, name="add", id="c1") for args in ('{"a"', ": 1", "}")))
    assert [event["delta"]["type"] for event in events if "delta" in event] == ["tool-call-delta"] * 3
    assert [call["args"] for call in put_together(events).tool_calls] == [{"a": 1}]


def test_arguments_that_are_no_json_are_told_as_they_are() -> None:
    events = told(calling('{"a": ', name="add", id="c1"))
    (finished,) = [event["content"] for event in events if event["event"] == "content-block-finish"]
    assert (finished["type"], finished["args"]) == ("invalid_tool_call", '{"a": ')


def test_calls_that_are_made_at_the_same_time_keep_apart() -> None:
    events = told(
        calling("{", name="one", id="c1"),
        calling("{", name="two", id="c2", index=1),
        calling("}"),
        calling("}", index=1),
    )
    assert [call["name"] for call in put_together(events).tool_calls] == ["one", "two"]


def test_reasoning_comes_beside_text() -> None:
    thought: Any = [{"type": "reasoning", "reasoning": "hm", "index": 0}]
    text: Any = [{"type": "text", "text": "ok", "index": 1}]
    events = told(AIMessageChunk(content=thought, id="m1"), AIMessageChunk(content=text, id="m1"))
    kinds = [event["content"]["type"] for event in events if event["event"] == "content-block-finish"]
    assert kinds == ["reasoning", "text"]
    assert [event["delta"]["type"] for event in events if "delta" in event] == ["reasoning-delta", "text-delta"]


def test_usage_is_added_up() -> None:
    usage: Any = {"input_tokens": 1, "output_tokens": 2, "total_tokens": 3}
    events = told(*(AIMessageChunk(content="x", id="m1", usage_metadata=usage) for _ in range(2)))
    assert events[-1]["usage"] == {"input_tokens": 2, "output_tokens": 4, "total_tokens": 6}


@pytest.mark.parametrize(
    ("message", "role"),
    [(HumanMessage("hi", id="m1"), "human"), (ToolMessage("42", tool_call_id="c1", id="m1"), "tool")],
)
def test_whole_messages_have_their_role(message: BaseMessage, role: str) -> None:
    events = told(message)
    assert events[0]["role"] == role
    assert events[0].get("tool_call_id") == getattr(message, "tool_call_id", None)


def test_what_is_no_message_stays_as_it_is() -> None:
    plain = {"type": "human", "content": "a form field", "list": [{"type": "ai"}]}
    assert plain_messages(plain) == plain
    shown = plain_messages({"messages": [dumped(AIMessage("hi", id="m1"))]})["messages"][0]
    assert shown == {"type": "ai", "content": "hi", "id": "m1", "tool_calls": [], "invalid_tool_calls": []}
