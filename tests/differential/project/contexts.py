"""Six kinds of context schema, each with a graph that says what its node was given; and states that are classes."""

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


class Out(TypedDict, total=False):
    """What each of these graphs answers."""

    kind: str
    text: str


@dataclass
class Data:
    """All with defaults."""

    model: str = "small"
    size: int = 1


@dataclass
class NeedsData:
    """One without a default."""

    model: str
    size: int = 1


class Model(BaseModel):
    """All with defaults."""

    model: str = "small"
    size: int = 1


class NeedsModel(BaseModel):
    """One without a default."""

    model: str
    size: int = 1


class Typed(TypedDict, total=False):
    """Two keys."""

    model: str
    size: int


def tell(state: Out, runtime: Runtime[Any]) -> Out:
    given = runtime.context
    shown = dict(sorted(given.items())) if isinstance(given, dict) else given
    return {"kind": type(given).__name__, "text": repr(shown)}


def _with(schema: Any) -> Any:
    graph: Any = StateGraph(Out, context_schema=schema) if schema else StateGraph(Out)
    return graph.add_node("tell", tell).add_edge(START, "tell").compile()


context_none = _with(None)
context_dataclass = _with(Data)
context_needs_dataclass = _with(NeedsData)
context_model = _with(Model)
context_needs_model = _with(NeedsModel)
context_typed = _with(Typed)


class Colour(enum.Enum):
    """A member of this is put into states."""

    RED = "red"
    BLUE = "blue"


class Level(enum.IntEnum):
    """A number that is a member."""

    LOW = 1


Point = namedtuple("Point", "x y")


class Place(NamedTuple):
    """The newer kind."""

    name: str
    at: int


class Item(BaseModel):
    """A model inside states."""

    name: str
    colour: Colour = Colour.RED
    tags: set[str] = set()


@dataclass
class Record:
    """A dataclass inside states."""

    number: int
    items: list[Item] = field(default_factory=list)


class Loose(TypedDict, total=False):
    """Channels that name no class."""

    thing: Any
    things: Annotated[list[Any], operator.add]
    told: str


def put(state: Loose) -> Loose:
    return {
        "thing": Item(name="a", colour=Colour.BLUE),
        "things": [Record(1, [Item(name="b")]), Colour.RED, Level.LOW, Point(1, 2), Place("here", 3), {1, 2}, (1, "b")],
    }


def read_back(state: Loose) -> Loose:
    return {"told": f"{type(state['thing']).__name__} {[type(item).__name__ for item in state['things']]}"}


loose = (
    StateGraph(Loose)
    .add_node("put", put)
    .add_node("read_back", read_back)
    .add_edge(START, "put")
    .add_edge("put", "read_back")
    .compile()
)


def ask_with_object(state: Loose) -> Loose:
    return {"told": str(interrupt(Item(name="asked")))}


loose_asks = StateGraph(Loose).add_node("ask", ask_with_object).add_edge(START, "ask").compile()


def spread(state: Loose) -> list[Send]:
    return [Send("took", Item(name=name)) for name in "ab"]


def took(item: Item) -> Loose:
    return {"things": [f"{type(item).__name__} {item.name}"]}


# The node is given an object of another type than the state, as `Send` allows.
_sends: Any = StateGraph(Loose)
loose_sends = _sends.add_node("took", took).add_conditional_edges(START, spread, ["took"]).compile()


class ModelState(BaseModel):
    """A state that is a model."""

    name: str = "nobody"
    count: int = 0
    item: Item | None = None


def grow_model(state: ModelState) -> dict[str, Any]:
    return {"count": state.count + 1, "item": Item(name=state.name)}


state_model = StateGraph(ModelState).add_node("grow", grow_model).add_edge(START, "grow").compile()


@dataclass
class DataState:
    """A state that is a dataclass."""

    name: str = "nobody"
    count: int = 0
    colour: Colour = Colour.RED


def grow_data(state: DataState) -> dict[str, Any]:
    return {"count": state.count + 1, "colour": Colour.BLUE}


state_dataclass = StateGraph(DataState).add_node("grow", grow_data).add_edge(START, "grow").compile()


class InOnly(TypedDict):
    """What goes in."""

    question: str


class OutOnly(TypedDict):
    """What comes out."""

    answer: str


class Whole(InOnly, OutOnly):
    """All of it."""

    hidden: str


def solve(state: InOnly) -> dict[str, str]:
    return {"answer": state["question"].upper(), "hidden": "x"}


in_and_out = (
    StateGraph(Whole, input_schema=InOnly, output_schema=OutOnly)
    .add_node("solve", solve)
    .add_edge(START, "solve")
    .compile()
)
