"""The chat: tokens one by one, useful replies, counted usage."""

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


def said(text: str) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": text}]}


async def test_tokens_stream_and_make_up_the_message() -> None:
    graph: Graph = build()
    pieces: list[AIMessageChunk] = []
    final: dict[str, Any] = {}
    async for mode, data in graph.astream(said("How do I connect to the VPN?"), stream_mode=["messages", "values"]):
        if mode == "messages":
            assert isinstance(data[0], AIMessageChunk)
            pieces.append(data[0])
        else:
            final = data  # type: ignore[assignment]
    answer = final["messages"][-1]
    assert len(pieces) > 20
    assert "".join(str(piece.text) for piece in pieces) == answer.text
    assert {piece.id for piece in pieces} == {answer.id}
    assert "touch your security key" in answer.text
    assert answer.usage_metadata["total_tokens"] == sum(
        answer.usage_metadata[k] for k in ("input_tokens", "output_tokens")
    )
    assert answer.usage_metadata["output_tokens"] > 20


async def test_streamed_and_whole_replies_are_the_same() -> None:
    model = BuiltinChatModel()
    whole = await model.ainvoke("Hello")
    streamed = [chunk async for chunk in model.astream("Hello")]
    assert "".join(str(chunk.text) for chunk in streamed) == whole.text
    assert whole.usage_metadata is not None
    counted = [chunk.usage_metadata for chunk in streamed if isinstance(chunk, AIMessageChunk) and chunk.usage_metadata]
    assert counted == [whole.usage_metadata]
    assert model.invoke("Hello").text == whole.text
    assert "".join(str(chunk.text) for chunk in model.stream("Hello")) == whole.text


async def test_the_conversation_is_remembered() -> None:
    graph: Graph = build()
    graph.checkpointer = InMemorySaver()
    config: RunnableConfig = {"configurable": {"thread_id": "t"}}
    await graph.ainvoke(said("Hi, my name is Ada"), config)
    out = await graph.ainvoke(said("What is my name?"), config)
    assert out["messages"][-1].text == "You told me that your name is Ada."
    assert len(out["messages"]) == 4


def test_a_name_that_is_corrected_is_the_last_one() -> None:
    said = [HumanMessage("My name is Ada"), AIMessage("Hello"), HumanMessage("Sorry, my name is Grace")]
    assert reply(said) == "Nice to meet you, Grace. What would you like to know?"
    assert reply([*said, HumanMessage("Who am I?")]) == "You told me that your name is Grace."
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
def test_replies(text: str, words: str) -> None:
    assert words in reply([HumanMessage(text)])
    assert reply([HumanMessage(text)]) == reply(
        [HumanMessage("Something before"), AIMessage("Yes"), HumanMessage(text)]
    )


async def test_no_messages_are_refused_by_name() -> None:
    with pytest.raises(ValueError, match=r"^messages:"):
        await build().ainvoke({"messages": []})
