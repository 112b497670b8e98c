"""Small graphs, one for each behaviour of a graph that clients have to handle."""

import asyncio
import operator
import sys
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
    value: int
    log: Annotated[list[str], operator.add]
    answer: Any


class Undescribed(Exception):
    """Its conversion to text raises `SystemExit`."""

    def __str__(self) -> str:
        raise SystemExit(3)


def _raising_reducer(old: str, new: str) -> str:
    """Raises the exception that the new value names. Returns any other value."""
    if new == "exit":
        raise SystemExit(3)
    if new == "undescribed":
        raise Undescribed
    return new


class RaisingState(TypedDict, total=False):
    bang: Annotated[str, _raising_reducer]


async def touch(state: RaisingState) -> RaisingState:
    """Writes the input without "then ". The reducer therefore raises in the node, not when the input is written."""
    return {"bang": state["bang"].removeprefix("then ")}


touchy = StateGraph(RaisingState).add_node("touch", touch).add_edge(START, "touch").compile()


async def one(state: State) -> State:
    get_stream_writer()({"from": "one"})
    return {"value": state.get("value", 0) + 1, "log": ["one"]}


async def two(state: State) -> State:
    return {"value": state["value"] + 1, "log": ["two"]}


async def three(state: State) -> State:
    return {"value": state["value"] + 1, "log": ["three"]}


def ask_amount(state: State) -> State:
    return {"answer": interrupt({"question": "how much?"}), "log": ["asked"]}


def ask_number(state: State) -> State:
    """Raises `ValueError` when the answer is not a number."""
    return {"answer": int(interrupt("how many?"))}


async def wait_long(state: State) -> State:
    """Takes longer than any test."""
    await asyncio.sleep(120)
    return {}


async def fail_to_connect(state: State) -> State:
    """Raises an error whose text must not be sent to clients."""
    raise ConnectionError("db-7.internal refused")


async def raise_value_error(state: State) -> State:
    raise ValueError("no luck today")


class Inside(Exception):
    """An error of the project. Its text must not be sent to clients."""


async def raise_inside(state: State) -> State:
    raise Inside("the password is hunter2")


async def exit_inside(state: State) -> State:
    sys.exit("the password is hunter2")


def interrupting_node(name: str) -> Any:
    """A node that interrupts with its name."""

    def node(state: State) -> State:
        return {"log": [f"{name}: {interrupt(name)}"]}

    return node


class Question(TypedDict):
    """The input schema."""

    question: str


class Answer(TypedDict):
    """The output schema."""

    answer: str


class PrivateState(Question, Answer):
    """The state, with a channel that is neither input nor output."""

    draft: str


def think(state: PrivateState) -> dict[str, str]:
    return {"draft": "hm", "answer": state["question"].upper()}


def parallel_nodes(size: int) -> Graph:
    """Each node logs how many nodes were executing when it started, itself included."""
    builder, executing = StateGraph(State), set[str]()

    def create_node(name: str) -> Any:
        async def node(state: State) -> State:
            executing.add(name)
            count = len(executing)
            await asyncio.sleep(0)
            executing.discard(name)
            return {"log": [str(count)]}

        return node

    for name in map(str, range(size)):
        builder.add_node(name, create_node(name)).add_edge(START, name)
    return builder.compile()


async def stream_greeting(state: MessagesState) -> dict[str, Any]:
    model = GenericFakeChatModel(messages=iter([AIMessage("hello to you")]))
    return {"messages": [await model.ainvoke(state["messages"])]}


class Order(BaseModel):
    """A state that pydantic validates. Without a `count` or with a wrong type, the node fails."""

    count: int
    said: str = ""


def take(state: Order) -> dict[str, str]:
    return {"said": f"{state.count} taken"}


def sequence(**nodes: Any) -> Graph:
    """A graph that executes the nodes one after the other."""
    builder, previous = StateGraph(State), START
    for name, node in nodes.items():
        builder.add_node(name, node)
        builder.add_edge(previous, name)
        previous = name
    return builder.compile()


def toned(config: RunnableConfig) -> Graph:
    """A factory that fails without `configurable.tone`."""
    tone = config["configurable"]["tone"]
    return sequence(sing=lambda state: {"log": [tone]})


def tuned(config: RunnableConfig) -> Graph:
    """A factory with a default for `configurable.tone`."""
    tone = config["configurable"].get("tone", "a")
    return sequence(sing=lambda state: {"log": [tone]})


steps = sequence(one=one, two=two, three=three)
ask = sequence(one=one, ask=ask_amount, two=two)
ask_numbers = StateGraph(State)
for name in ("first", "second"):
    ask_numbers.add_node(name, lambda state: {"log": [str(interrupt("how many?"))]})
    ask_numbers.add_edge(START, name)
number = sequence(number=ask_number)
hold = sequence(one=one, wait=wait_long)
fail = sequence(one=one, refuse=raise_value_error)
fail_secretly = sequence(one=one, break_down=fail_to_connect)
nested = sequence(one=one, child=sequence(ask=ask_amount))
inside = sequence(refuse=raise_inside)
exits = sequence(refuse=exit_inside)
both = StateGraph(State).add_node("a", interrupting_node("a")).add_node("b", interrupting_node("b"))
both.add_edge(START, "a").add_edge(START, "b")
schemas = StateGraph(PrivateState, input_schema=Question, output_schema=Answer).add_node(think).add_edge(START, "think")
crowded = parallel_nodes(4)
talk = StateGraph(MessagesState).add_node("talk", stream_greeting).add_edge(START, "talk").compile()
strict = StateGraph(Order).add_node("take", take).add_edge(START, "take").compile()


def call_ask(state: State) -> State:
    """A synchronous node that calls a graph as a function."""
    return {"answer": only_ask.invoke({"value": 1})["answer"], "log": ["called"]}


only_ask = sequence(ask=ask_amount)
calls = sequence(call=call_ask)
