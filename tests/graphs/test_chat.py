"""The chat graph: streamed tokens, replies, token usage."""

from __future__ import annotations

from typing import Any

import pytest
from langchain_core.messages import AIMessage, AIMessageChunk, HumanMessage
from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph.state import CompiledStateGraph

from examples.chat.builtin import BuiltinChatModel, reply
from examples.chat.graph import build
from examples.reading.library import SHIPPED

Graph = CompiledStateGraph[Any, Any, Any, Any]


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SLIPWAY_MODEL", raising=False)
    monkeypatch.setenv("SLIPWAY_LIBRARY_DIR", str(SHIPPED))


def user_message(text: str) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": text}]}


async def test_streamed_tokens_are_the_text_of_the_message() -> None:
    graph: Graph = build()
    chunks: list[AIMessageChunk] = []
    final: dict[str, Any] = {}
    async for mode, data in graph.astream(
        user_message("How do I connect to the VPN?"), stream_mode=["messages", "values"]
    ):
        if mode == "messages":
            assert isinstance(data[0], AIMessageChunk)
            chunks.append(data[0])
        else:
            final = data  # type: ignore[assignment]
    answer = final["messages"][-1]
    assert len(chunks) > 20
    assert "".join(str(chunk.text) for chunk in chunks) == answer.text
    assert {chunk.id for chunk in chunks} == {answer.id}
    assert "touch your security key" in answer.text
    assert answer.usage_metadata["total_tokens"] == sum(
        answer.usage_metadata[k] for k in ("input_tokens", "output_tokens")
    )
    assert answer.usage_metadata["output_tokens"] > 20


async def test_streamed_and_complete_replies_are_equal() -> None:
    model = BuiltinChatModel()
    complete = await model.ainvoke("Hello")
    streamed = [chunk async for chunk in model.astream("Hello")]
    assert "".join(str(chunk.text) for chunk in streamed) == complete.text
    assert complete.usage_metadata is not None
    counted = [chunk.usage_metadata for chunk in streamed if isinstance(chunk, AIMessageChunk) and chunk.usage_metadata]
    assert counted == [complete.usage_metadata]
    assert model.invoke("Hello").text == complete.text
    assert "".join(str(chunk.text) for chunk in model.stream("Hello")) == complete.text


async def test_a_reply_uses_earlier_messages_of_the_thread() -> None:
    graph: Graph = build()
    graph.checkpointer = InMemorySaver()
    config: RunnableConfig = {"configurable": {"thread_id": "t"}}
    await graph.ainvoke(user_message("Hi, my name is Ada"), config)
    out = await graph.ainvoke(user_message("What is my name?"), config)
    assert out["messages"][-1].text == "You told me that your name is Ada."
    assert len(out["messages"]) == 4


def test_a_corrected_name_replaces_the_first_one() -> None:
    conversation = [HumanMessage("My name is Ada"), AIMessage("Hello"), HumanMessage("Sorry, my name is Grace")]
    assert reply(conversation) == "Nice to meet you, Grace. What would you like to know?"
    assert reply([*conversation, HumanMessage("Who am I?")]) == "You told me that your name is Grace."
    assert reply([HumanMessage("Who am I?")]) == "You have not told me your name yet."


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Good morning", "Hello!"),
        ("What is 3 * 4?", "= 12"),
        ("thanks a lot", "welcome"),
        ("How long are invoices kept?", "10 years"),
        ("Tell me about zebras", "I found nothing about that"),
        ("The harvest was late this year. " * 20 + "The mill closed in May.", "Its main points"),
    ],
)
def test_a_reply_matches_the_message(text: str, words: str) -> None:
    assert words in reply([HumanMessage(text)])
    assert reply([HumanMessage(text)]) == reply(
        [HumanMessage("Something before"), AIMessage("Yes"), HumanMessage(text)]
    )


async def test_the_error_of_an_input_without_messages_names_the_field() -> None:
    with pytest.raises(ValueError, match=r"^messages:"):
        await build().ainvoke({"messages": []})
