"""Small graphs, one for each thing that a client can meet."""

import asyncio
import operator
from typing import Annotated, Any, TypedDict

from langchain_core.language_models.fake_chat_models import GenericFakeChatModel
from langchain_core.messages import AIMessage
from langchain_core.runnables import RunnableConfig
from langgraph.config import get_stream_writer
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.types import interrupt
from pydantic import BaseModel

from slipway.graphs.interface import Graph


class State(TypedDict, total=False):
    """What most of them share."""

    value: int
    log: Annotated[list[str], operator.add]
    answer: Any


class Undescribed(Exception):
    """Its text raises."""

    def __str__(self) -> str:
        raise SystemExit(3)


def _fuse(old: str, new: str) -> str:
    """A reducer that raises what it is told."""
    if new == "exit":
        raise SystemExit(3)
    if new == "undescribed":
        raise Undescribed
    return new


class Touchy(TypedDict, total=False):
    """A channel that one must not touch."""

    bang: Annotated[str, _fuse]


async def touch(state: Touchy) -> Touchy:
    """Hands on what it got."""
    return {"bang": state["bang"].removeprefix("then ")}


touchy = StateGraph(Touchy).add_node("touch", touch).add_edge(START, "touch").compile()


async def one(state: State) -> State:
    """First step."""
    get_stream_writer()({"from": "one"})
    return {"value": state.get("value", 0) + 1, "log": ["one"]}


async def two(state: State) -> State:
    """Second step."""
    return {"value": state["value"] + 1, "log": ["two"]}


async def three(state: State) -> State:
    """Third step."""
    return {"value": state["value"] + 1, "log": ["three"]}


def ask_one(state: State) -> State:
    """Stops until somebody answers."""
    return {"answer": interrupt({"question": "how much?"}), "log": ["asked"]}


def ask_number(state: State) -> State:
    """Fails for an answer that is no number."""
    return {"answer": int(interrupt("how many?"))}


async def wait_long(state: State) -> State:
    """Longer than any test."""
    await asyncio.sleep(120)
    return {}


async def break_down(state: State) -> State:
    """Fails with what no client is to read."""
    raise ConnectionError("db-7.internal refused")


async def refuse(state: State) -> State:
    """Always fails."""
    raise ValueError("no luck today")


class Inside(Exception):
    """Of a class whose text is not for clients."""


async def refuse_inside(state: State) -> State:
    """Fails with what only operators may read."""
    raise Inside("the password is hunter2")


def ask_as(who: str) -> Any:
    """A node that asks, beside others that do."""

    def node(state: State) -> State:
        return {"log": [f"{who}: {interrupt(who)}"]}

    return node


class Question(TypedDict):
    """What callers give."""

    question: str


class Answer(TypedDict):
    """What callers get."""

    answer: str


class Thinking(Question, Answer):
    """What the graph keeps to itself beside."""

    draft: str


def think(state: Thinking) -> dict[str, str]:
    """Answers, and keeps its draft."""
    return {"draft": "hm", "answer": state["question"].upper()}


def crowd(size: int) -> Graph:
    """Nodes side by side; each tells how many were at work when it began."""
    builder, busy = StateGraph(State), set[str]()

    def member(name: str) -> Any:
        async def node(state: State) -> State:
            busy.add(name)
            seen = len(busy)
            await asyncio.sleep(0)
            busy.discard(name)
            return {"log": [str(seen)]}

        return node

    for name in map(str, range(size)):
        builder.add_node(name, member(name)).add_edge(START, name)
    return builder.compile()


async def talk_one(state: MessagesState) -> dict[str, Any]:
    """Streams some words."""
    model = GenericFakeChatModel(messages=iter([AIMessage("hello to you")]))
    return {"messages": [await model.ainvoke(state["messages"])]}


class Order(BaseModel):
    """A state that refuses what it does not like."""

    count: int
    said: str = ""


def take(state: Order) -> dict[str, str]:
    """Needs an order that is one."""
    return {"said": f"{state.count} taken"}


def row(**nodes: Any) -> Graph:
    """A graph of nodes one after the other."""
    builder, before = StateGraph(State), START
    for name, node in nodes.items():
        builder.add_node(name, node)
        builder.add_edge(before, name)
        before = name
    return builder.compile()


def toned(config: RunnableConfig) -> Graph:
    """Cannot be made without a tone."""
    tone = config["configurable"]["tone"]
    return row(sing=lambda state: {"log": [tone]})


def tuned(config: RunnableConfig) -> Graph:
    """Can be made without one."""
    tone = config["configurable"].get("tone", "a")
    return row(sing=lambda state: {"log": [tone]})


steps = row(one=one, two=two, three=three)
ask = row(one=one, ask=ask_one, two=two)
ask_numbers = StateGraph(State)
for name in ("first", "second"):
    ask_numbers.add_node(name, lambda state: {"log": [str(interrupt("how many?"))]})
    ask_numbers.add_edge(START, name)
number = row(number=ask_number)
hold = row(one=one, wait=wait_long)
fail = row(one=one, refuse=refuse)
fail_secretly = row(one=one, break_down=break_down)
nested = row(one=one, child=row(ask=ask_one))
inside = row(refuse=refuse_inside)
both = StateGraph(State).add_node("a", ask_as("a")).add_node("b", ask_as("b"))
both.add_edge(START, "a").add_edge(START, "b")
schemas = StateGraph(Thinking, input_schema=Question, output_schema=Answer).add_node(think).add_edge(START, "think")
crowded = crowd(4)
talk = StateGraph(MessagesState).add_node("talk", talk_one).add_edge(START, "talk").compile()
strict = StateGraph(Order).add_node("take", take).add_edge(START, "take").compile()


def call_ask(state: State) -> State:
    """Calls a graph as a function, from a synchronous node."""
    return {"answer": only_ask.invoke({"value": 1})["answer"], "log": ["called"]}


only_ask = row(ask=ask_one)
calls = row(call=call_ask)
