"""Graphs that stream messages, call tools, have subgraphs, interrupt, fail and wait."""

import asyncio
import operator
from typing import Annotated, Any, TypedDict

from langchain_core.language_models.fake_chat_models import GenericFakeChatModel
from langchain_core.messages import AIMessage, AIMessageChunk, AnyMessage, HumanMessage, ToolMessage
from langchain_core.tools import tool
from langgraph.config import get_stream_writer
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.prebuilt import ToolNode
from langgraph.stream import ProtocolEvent, StreamChannel, StreamTransformer
from langgraph.types import interrupt


def model_that_streams(text: str) -> GenericFakeChatModel:
    """Streams `text` word by word, once."""
    return GenericFakeChatModel(messages=iter([AIMessage(text)]))


async def say(state: MessagesState) -> dict[str, list[AnyMessage]]:
    """Repeats the last message."""
    return {"messages": [await model_that_streams(f"you said {state['messages'][-1].content}").ainvoke("go")]}


def approve(state: MessagesState) -> dict[str, list[AnyMessage]]:
    """Interrupts with a question."""
    return {"messages": [AIMessage(f"approved: {interrupt({'ok?': True})}")]}


async def say_astream(state: MessagesState) -> dict[str, list[AnyMessage]]:
    """Adds up the chunks of the model."""
    chunks = [chunk async for chunk in model_that_streams("by astream").astream("go")]
    return {"messages": [sum(chunks[1:], chunks[0])]}


async def say_events_v2(state: MessagesState) -> dict[str, list[AnyMessage]]:
    """Takes the message from LangChain's events."""
    events = [event async for event in model_that_streams("by v2").astream_events("go", version="v2")]
    return {"messages": [events[-1]["data"]["output"]]}


async def say_events_v3(state: MessagesState) -> dict[str, list[AnyMessage]]:
    """Takes the message from the content blocks."""
    stream = await model_that_streams("by v3").astream_events("go", version="v3")
    return {"messages": [await stream.output]}


def by_hand(state: MessagesState) -> dict[str, list[AnyMessage]]:
    """Returns messages without a model, and writes custom data of several types."""
    writer = get_stream_writer()
    for written in ({"name": "progress", "n": 1}, "text", [1, 2], {"no": "name"}):
        writer(written)
    question, answer = HumanMessage("a question"), ToolMessage("4", tool_call_id="c")
    return {"messages": [AIMessage("by hand"), question, answer, AIMessageChunk(content="piece")]}


models = (
    StateGraph(MessagesState)
    .add_sequence([say, say_astream, say_events_v2, say_events_v3, by_hand])
    .add_edge(START, "say")
    .compile()
)
talk = StateGraph(MessagesState).add_node("say", say).add_edge(START, "say").compile()

inner = (
    StateGraph(MessagesState)
    .add_node("say", say)
    .add_node("approve", approve)
    .add_edge(START, "say")
    .add_edge("say", "approve")
    .compile()
)
team = StateGraph(MessagesState).add_node("member", inner).add_edge(START, "member").compile()
pair = StateGraph(MessagesState).add_node("talker", talk).add_edge(START, "talker").compile()


@tool
def double(number: int) -> int:
    """Twice the number."""
    return 2 * number


@tool
def fail(number: int) -> int:
    """Always fails."""
    raise ValueError(f"no luck with {number}")


def decide(state: MessagesState) -> dict[str, list[AnyMessage]]:
    """Calls both tools."""
    calls: list[Any] = [
        {"name": "double", "args": {"number": 21}, "id": "call-1", "type": "tool_call"},
        {"name": "fail", "args": {"number": 3}, "id": "call-2", "type": "tool_call"},
    ]
    return {"messages": [AIMessage("let me see", tool_calls=calls)]}


agent = (
    StateGraph(MessagesState)
    .add_node("decide", decide)
    .add_node("tools", ToolNode([double, fail], handle_tool_errors=True))
    .add_edge(START, "decide")
    .add_edge("decide", "tools")
    .compile()
)


@tool
async def consult(question: str) -> str:
    """Returns the message of another graph."""
    get_stream_writer()({"asking": question})
    state = await talk.ainvoke({"messages": [HumanMessage(question)]})
    return str(state["messages"][-1].content)


def ask_once(state: MessagesState) -> dict[str, list[AnyMessage]]:
    """Calls the tool."""
    call: Any = {"name": "consult", "args": {"question": "why?"}, "id": "call-9", "type": "tool_call"}
    return {"messages": [AIMessage("", tool_calls=[call])]}


consulting = (
    StateGraph(MessagesState)
    .add_node("ask", ask_once)
    .add_node("tools", ToolNode([consult]))
    .add_edge(START, "ask")
    .add_edge("ask", "tools")
    .compile()
)


class Count(TypedDict, total=False):
    """Counts from 0 to `until`."""

    at: int
    until: int
    seen: Annotated[list[int], operator.add]


async def step(state: Count) -> Count:
    """Adds 1, and writes the new count."""
    at = state.get("at", 0) + 1
    get_stream_writer()({"at": at})
    await asyncio.sleep(0.01)
    return {"at": at, "seen": [at]}


class Progress(StreamTransformer):
    """Pushes the count to the channel `progress`."""

    required_stream_modes = ("updates",)

    def init(self) -> dict[str, Any]:
        """Creates the channel."""
        self._channel: StreamChannel[dict[str, int]] = StreamChannel("progress")
        return {"progress": self._channel}

    def process(self, event: ProtocolEvent) -> bool:
        """One item for each step."""
        if event["method"] == "updates":
            self._channel.push({"done": event["params"]["data"]["step"]["at"]})
        return True


def more(state: Count) -> str:
    """Continues until the count is reached."""
    return "step" if state["at"] < state.get("until", 3) else "__end__"


steps = StateGraph(Count).add_node("step", step).add_edge(START, "step").add_conditional_edges("step", more).compile()

stops = (
    StateGraph(Count)
    .add_node("step", step)
    .add_edge(START, "step")
    .add_conditional_edges("step", more)
    .compile(interrupt_after=["step"])
)

shown = (
    StateGraph(Count)
    .add_node("step", step)
    .add_edge(START, "step")
    .add_conditional_edges("step", more)
    .compile(transformers=[Progress])
)


def broken(state: Count) -> Count:
    """Raises."""
    raise ValueError("it broke")


breaks = StateGraph(Count).add_node("broken", broken).add_edge(START, "broken").compile()


async def wait(state: Count) -> Count:
    """Takes longer than any test."""
    await asyncio.sleep(600)
    return {}


def ask_count(state: Count) -> Count:
    """Interrupts for a number."""
    return {"at": interrupt("how many?")}


async def linger(state: Count) -> Count:
    """Still runs when the other node has interrupted."""
    await asyncio.sleep(0.5)
    return {}


lingers = StateGraph(Count).add_node("ask", ask_count).add_node("linger", linger)
lingers.add_edge(START, "ask").add_edge(START, "linger")
hold = StateGraph(Count).add_node("wait", wait).add_edge(START, "wait").compile()
fragile = StateGraph(Count).add_node("breaks", breaks).add_edge(START, "breaks").compile()
holds = StateGraph(Count).add_node("hold", hold).add_edge(START, "hold").compile()
outer = (
    StateGraph(Count)
    .add_node("steps", steps)
    .add_node("holds", holds)
    .add_edge(START, "steps")
    .add_edge("steps", "holds")
    .compile()
)
