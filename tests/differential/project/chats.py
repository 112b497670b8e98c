"""Graphs with a chat model that answers from a script."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from langchain.agents import create_agent
from langchain.agents.structured_output import ProviderStrategy, ToolStrategy
from langchain_core.callbacks import AsyncCallbackManagerForLLMRun, CallbackManagerForLLMRun
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage, HumanMessage, ToolMessage
from langchain_core.messages.ai import UsageMetadata
from langchain_core.messages.tool import tool_call_chunk
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from langchain_core.tools import tool
from langgraph.config import get_stream_writer
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.types import interrupt
from pydantic import BaseModel
from typing_extensions import TypedDict


class Scripted(BaseChatModel):
    """Calls the first tool it has, once for each question, with the question's text; else it repeats what it got."""

    tools: tuple[Any, ...] = ()
    structured: bool = False

    @property
    def _llm_type(self) -> str:
        return "scripted"

    def bind_tools(self, tools: Sequence[Any], **kwargs: Any) -> Any:
        return self.model_copy(update={"tools": (*tools,), "structured": "response_format" in kwargs})

    def _answer(self, messages: Sequence[BaseMessage]) -> AIMessage:
        last = messages[-1]
        place = f"answer-{len(messages)}"
        text = last.text if isinstance(last.text, str) else last.text()
        if self.tools and not isinstance(last, ToolMessage):
            picked = self.tools[-1] if text.startswith("person") else self.tools[0]
            name = picked["name"] if isinstance(picked, dict) else getattr(picked, "name", None) or picked.__name__
            args = {"query": text} if name in ("look_up", "ask_person", "with_artifact") else {"name": "Ada", "age": 36}
            return AIMessage("", id=place, tool_calls=[{"name": name, "args": args, "id": f"call-{len(messages)}"}])
        if self.structured:
            return AIMessage('{"name": "Eve", "age": 30}', id=place)
        usage: UsageMetadata = {"input_tokens": 3, "output_tokens": 4, "total_tokens": 7}
        return AIMessage(f"you said {text}", id=place, usage_metadata=usage)

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        return ChatResult(generations=[ChatGeneration(message=self._answer(messages))])

    def _stream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> Iterator[ChatGenerationChunk]:
        for chunk in self._chunks(messages):
            if run_manager:
                run_manager.on_llm_new_token(chunk.text, chunk=chunk)
            yield chunk

    async def _astream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> AsyncIterator[ChatGenerationChunk]:
        for chunk in self._chunks(messages):
            if run_manager:
                await run_manager.on_llm_new_token(chunk.text, chunk=chunk)
            yield chunk

    def _chunks(self, messages: Sequence[BaseMessage]) -> Iterator[ChatGenerationChunk]:
        whole = self._answer(messages)
        for call in whole.tool_calls:
            piece = tool_call_chunk(name=call["name"], args=json.dumps(call["args"]), id=call["id"], index=0)
            yield _chunk(AIMessageChunk(content="", id=whole.id, tool_call_chunks=[piece]))
        words = str(whole.content).split(" ") if whole.content else []
        for place, word in enumerate(words):
            yield _chunk(AIMessageChunk(content=word if place == 0 else f" {word}", id=whole.id))


def _chunk(message: AIMessageChunk) -> ChatGenerationChunk:
    return ChatGenerationChunk(message=message)


async def answer(state: MessagesState) -> dict[str, Any]:
    return {"messages": [await Scripted().ainvoke(state["messages"])]}


chat = StateGraph(MessagesState).add_node("answer", answer).add_edge(START, "answer").compile()


def by_hand(state: MessagesState) -> dict[str, Any]:
    return {
        "messages": [
            HumanMessage("a human's", id="hand-1"),
            AIMessage("made by hand", id="hand-2"),
            ToolMessage("a tool's", tool_call_id="call-x", id="hand-3"),
        ]
    }


messages_by_hand = StateGraph(MessagesState).add_node("by_hand", by_hand).add_edge(START, "by_hand").compile()


async def streamed_v2(state: MessagesState) -> dict[str, Any]:
    text = ""
    async for event in Scripted().astream_events(state["messages"], version="v2"):
        if event["event"] == "on_chat_model_stream":
            text += str(event["data"]["chunk"].content)
    return {"messages": [AIMessage(text, id="v2")]}


async def streamed_plain(state: MessagesState) -> dict[str, Any]:
    text = ""
    async for chunk in Scripted().astream(state["messages"]):
        text += str(chunk.content)
    return {"messages": [AIMessage(text, id="plain")]}


async def streamed_v3(state: MessagesState) -> dict[str, Any]:
    stream = await Scripted().astream_events(state["messages"], version="v3")
    text = ""
    async for part in stream.text:
        text += part
    return {"messages": [AIMessage(text, id="v3")]}


def _one(node: Any) -> Any:
    return StateGraph(MessagesState).add_node("speak", node).add_edge(START, "speak").compile()


model_by_events_v2 = _one(streamed_v2)
model_by_events_v3 = _one(streamed_v3)
model_by_stream = _one(streamed_plain)


@tool
def look_up(query: str) -> str:
    """Look something up."""
    get_stream_writer()({"looking": query})
    if query.startswith("fail"):
        raise ValueError("nothing found")
    return f"found {query}"


@tool
def ask_person(query: str) -> str:
    """Ask a person."""
    return f"the person says {interrupt({'ask': query})}"


@tool(response_format="content_and_artifact")
def with_artifact(query: str) -> tuple[str, Any]:
    """Give a text, and an object beside it."""
    return f"made {query}", Person(name="Bob", age=7)


class Person(BaseModel):
    """What the structured answers are."""

    name: str
    age: int = 1


@dataclass
class PersonData:
    """The same as a dataclass."""

    name: str
    age: int = 1


class PersonDict(TypedDict):
    """The same as a typed dictionary."""

    name: str
    age: int


agent = create_agent(Scripted(), tools=[look_up, ask_person], name="agent")
agent_artifact = create_agent(Scripted(), tools=[with_artifact])
agent_person = create_agent(Scripted(), tools=[], response_format=ToolStrategy(Person))
agent_person_provider = create_agent(Scripted(), tools=[], response_format=ProviderStrategy(Person))
agent_person_dataclass = create_agent(Scripted(), tools=[], response_format=ToolStrategy(PersonData))
agent_person_typed = create_agent(Scripted(), tools=[], response_format=ToolStrategy(PersonDict))
agent_person_schema = create_agent(Scripted(), tools=[], response_format=ToolStrategy(Person.model_json_schema()))
agent_person_auto = create_agent(Scripted(), tools=[], response_format=Person)
