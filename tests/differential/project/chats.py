"""Graphs with a chat model whose messages are computed from the messages that it receives."""

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
    """Calls a tool with the text of a human message: the last tool if it starts with `person`, else the first one.

    Without tools, and after a tool message, it repeats the text.
    """

    tools: tuple[Any, ...] = ()
    structured: bool = False

    @property
    def _llm_type(self) -> str:
        return "scripted"

    def bind_tools(self, tools: Sequence[Any], **kwargs: Any) -> Any:
        return self.model_copy(update={"tools": (*tools,), "structured": "response_format" in kwargs})

    def _message(self, messages: Sequence[BaseMessage]) -> AIMessage:
        last = messages[-1]
        message_id = f"answer-{len(messages)}"
        text = last.text if isinstance(last.text, str) else last.text()
        if self.tools and not isinstance(last, ToolMessage):
            chosen = self.tools[-1] if text.startswith("person") else self.tools[0]
            name = chosen["name"] if isinstance(chosen, dict) else getattr(chosen, "name", None) or chosen.__name__
            args = {"query": text} if name in ("look_up", "ask_person", "with_artifact") else {"name": "Ada", "age": 36}
            return AIMessage(
                "", id=message_id, tool_calls=[{"name": name, "args": args, "id": f"call-{len(messages)}"}]
            )
        if self.structured:
            return AIMessage('{"name": "Eve", "age": 30}', id=message_id)
        usage: UsageMetadata = {"input_tokens": 3, "output_tokens": 4, "total_tokens": 7}
        return AIMessage(f"you wrote {text}", id=message_id, usage_metadata=usage)

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        return ChatResult(generations=[ChatGeneration(message=self._message(messages))])

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
        message = self._message(messages)
        for call in message.tool_calls:
            call_chunk = tool_call_chunk(name=call["name"], args=json.dumps(call["args"]), id=call["id"], index=0)
            yield _chunk(AIMessageChunk(content="", id=message.id, tool_call_chunks=[call_chunk]))
        words = str(message.content).split(" ") if message.content else []
        for index, word in enumerate(words):
            yield _chunk(AIMessageChunk(content=word if index == 0 else f" {word}", id=message.id))


def _chunk(message: AIMessageChunk) -> ChatGenerationChunk:
    return ChatGenerationChunk(message=message)


async def answer(state: MessagesState) -> dict[str, Any]:
    return {"messages": [await Scripted().ainvoke(state["messages"])]}


chat = StateGraph(MessagesState).add_node("answer", answer).add_edge(START, "answer").compile()


def constant_messages(state: MessagesState) -> dict[str, Any]:
    return {
        "messages": [
            HumanMessage("a human message", id="constant-1"),
            AIMessage("an AI message", id="constant-2"),
            ToolMessage("a tool message", tool_call_id="call-x", id="constant-3"),
        ]
    }


messages_without_model = (
    StateGraph(MessagesState)
    .add_node("constant_messages", constant_messages)
    .add_edge(START, "constant_messages")
    .compile()
)


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
    async for chunk in stream.text:
        text += chunk
    return {"messages": [AIMessage(text, id="v3")]}


def _single_node(node: Any) -> Any:
    return StateGraph(MessagesState).add_node("call_model", node).add_edge(START, "call_model").compile()


model_by_events_v2 = _single_node(streamed_v2)
model_by_events_v3 = _single_node(streamed_v3)
model_by_stream = _single_node(streamed_plain)


@tool
def look_up(query: str) -> str:
    """Look something up."""
    get_stream_writer()({"query": query})
    if query.startswith("fail"):
        raise ValueError("nothing found")
    return f"found {query}"


@tool
def ask_person(query: str) -> str:
    """Ask a person."""
    return f"the person answered {interrupt({'ask': query})}"


@tool(response_format="content_and_artifact")
def with_artifact(query: str) -> tuple[str, Any]:
    """Return a text and an object."""
    return f"created {query}", Person(name="Bob", age=7)


class Person(BaseModel):
    """The structured output of the agents."""

    name: str
    age: int = 1


@dataclass
class PersonData:
    name: str
    age: int = 1


class PersonDict(TypedDict):
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
