"""Graphs with each kind of context schema, whose node returns the context it received; graphs with objects as state."""

from __future__ import annotations

import enum
import operator
from collections import namedtuple
from dataclasses import dataclass, field
from typing import Annotated, Any, NamedTuple

from langgraph.graph import START, StateGraph
from langgraph.runtime import Runtime
from langgraph.types import Send, interrupt
from pydantic import BaseModel
from typing_extensions import TypedDict


class ContextShown(TypedDict, total=False):
    """The type and the text of the context that the node received."""

    kind: str
    text: str


@dataclass
class Data:
    """All fields have defaults."""

    model: str = "small"
    size: int = 1


@dataclass
class RequiredData:
    """One field is required."""

    model: str
    size: int = 1


class Model(BaseModel):
    """All fields have defaults."""

    model: str = "small"
    size: int = 1


class RequiredModel(BaseModel):
    """One field is required."""

    model: str
    size: int = 1


class Typed(TypedDict, total=False):
    """Both keys are optional."""

    model: str
    size: int


def show_context(state: ContextShown, runtime: Runtime[Any]) -> ContextShown:
    context = runtime.context
    ordered = dict(sorted(context.items())) if isinstance(context, dict) else context
    return {"kind": type(context).__name__, "text": repr(ordered)}


def _with_context(schema: Any) -> Any:
    graph: Any = StateGraph(ContextShown, context_schema=schema) if schema else StateGraph(ContextShown)
    return graph.add_node("show_context", show_context).add_edge(START, "show_context").compile()


context_none = _with_context(None)
context_dataclass = _with_context(Data)
context_required_dataclass = _with_context(RequiredData)
context_model = _with_context(Model)
context_required_model = _with_context(RequiredModel)
context_typed = _with_context(Typed)


class Colour(enum.Enum):
    RED = "red"
    BLUE = "blue"


class Level(enum.IntEnum):
    LOW = 1


Point = namedtuple("Point", "x y")


class Position(NamedTuple):
    """A named tuple of `typing`; `Point` is one of `collections`."""

    name: str
    offset: int


class Item(BaseModel):
    name: str
    colour: Colour = Colour.RED
    tags: set[str] = set()


@dataclass
class Record:
    number: int
    items: list[Item] = field(default_factory=list)


class Untyped(TypedDict, total=False):
    """Channels whose annotation names no class."""

    single: Any
    several: Annotated[list[Any], operator.add]
    classes: str


def put_objects(state: Untyped) -> Untyped:
    return {
        "single": Item(name="a", colour=Colour.BLUE),
        "several": [
            Record(1, [Item(name="b")]),
            Colour.RED,
            Level.LOW,
            Point(1, 2),
            Position("start", 3),
            {1, 2},
            (1, "b"),
        ],
    }


def read_back(state: Untyped) -> Untyped:
    return {"classes": f"{type(state['single']).__name__} {[type(item).__name__ for item in state['several']]}"}


untyped = (
    StateGraph(Untyped)
    .add_node("put_objects", put_objects)
    .add_node("read_back", read_back)
    .add_edge(START, "put_objects")
    .add_edge("put_objects", "read_back")
    .compile()
)


def interrupt_with_object(state: Untyped) -> Untyped:
    return {"classes": str(interrupt(Item(name="interrupt")))}


untyped_interrupt = (
    StateGraph(Untyped)
    .add_node("interrupt_with_object", interrupt_with_object)
    .add_edge(START, "interrupt_with_object")
    .compile()
)


def send_items(state: Untyped) -> list[Send]:
    return [Send("receive_item", Item(name=name)) for name in "ab"]


def receive_item(item: Item) -> Untyped:
    return {"several": [f"{type(item).__name__} {item.name}"]}


# The node receives an `Item`, not the state: `Send` allows that.
_sends: Any = StateGraph(Untyped)
untyped_send = (
    _sends.add_node("receive_item", receive_item).add_conditional_edges(START, send_items, ["receive_item"]).compile()
)


class ModelState(BaseModel):
    name: str = "nameless"
    count: int = 0
    item: Item | None = None


def count_in_model(state: ModelState) -> dict[str, Any]:
    return {"count": state.count + 1, "item": Item(name=state.name)}


state_model = StateGraph(ModelState).add_node("count", count_in_model).add_edge(START, "count").compile()


@dataclass
class DataState:
    name: str = "nameless"
    count: int = 0
    colour: Colour = Colour.RED


def count_in_dataclass(state: DataState) -> dict[str, Any]:
    return {"count": state.count + 1, "colour": Colour.BLUE}


state_dataclass = StateGraph(DataState).add_node("count", count_in_dataclass).add_edge(START, "count").compile()


class InOnly(TypedDict):
    question: str


class OutOnly(TypedDict):
    answer: str


class FullState(InOnly, OutOnly):
    hidden: str


def solve(state: InOnly) -> dict[str, str]:
    return {"answer": state["question"].upper(), "hidden": "x"}


in_and_out = (
    StateGraph(FullState, input_schema=InOnly, output_schema=OutOnly)
    .add_node("solve", solve)
    .add_edge(START, "solve")
    .compile()
)
