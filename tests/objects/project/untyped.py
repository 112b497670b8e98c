"""Graphs that store objects where no type declares them, and compare them with the restored objects."""

from __future__ import annotations

import enum
import threading
from dataclasses import dataclass, field
from operator import add
from typing import Annotated, Any, NamedTuple, TypedDict

from langgraph.func import entrypoint, task
from langgraph.graph import START, StateGraph
from langgraph.types import Command, Send, interrupt
from pydantic import BaseModel, PrivateAttr, SecretStr


class Colour(enum.Enum):
    RED = "red"


class Spot(NamedTuple):
    x: int
    y: int


@dataclass
class Total:
    parts: list[Any]
    sum: int = field(init=False)

    def __post_init__(self) -> None:
        self.sum = len(self.parts)


class Order(BaseModel):
    lines: list[Any]
    secret: SecretStr = SecretStr("hush")
    _note: Any = PrivateAttr(default=None)


class State(TypedDict, total=False):
    value: Any
    comparisons: Annotated[list[str], add]


def objects() -> dict[str, Any]:
    from imported_in_node import ImportedInNode  # type: ignore[import-not-found]

    order = Order(lines=[{"spot": Spot(1, 2), "late": [ImportedInNode(3)]}, Total([Colour.RED])])
    order._note = Spot(3, 4)
    return {
        "order": order,
        "colours": {Colour.RED},
        "late": ImportedInNode(4),
        "json": {"lc": 2, "type": "constructor"},
    }


def comparison(name: str, restored: Any, expected: Any) -> str:
    same = restored == expected and repr(restored) == repr(expected) and type(restored) is type(expected)
    return f"{name}: {'same' if same else repr(restored)}"


def put(state: State) -> State:
    return {"value": objects()}


def ask(state: State) -> Command[str]:
    answer = interrupt(Order(lines=[Spot(0, 0)]))
    comparisons = [comparison("state", state["value"], objects()), comparison("answer", answer, "yes")]
    sends = [Send("part", Total([Spot(1, 1), name])) for name in ("a", "b")]
    return Command(update={"value": Spot(9, 9), "comparisons": comparisons}, goto=sends)


def part(total: Any) -> State:
    name = total.parts[1]
    interrupt({"name": name, "colour": Colour.RED})
    return {"comparisons": [comparison(f"send {name}", total, Total([Spot(1, 1), name]))]}


graph = (
    StateGraph(State)
    .add_node(put)
    .add_node(ask, destinations=("part",))
    .add_node("part", part)  # type: ignore[arg-type]
    .add_edge(START, "put")
    .add_edge("put", "ask")
    .compile()
)


@task
def create_total(number: int) -> Any:
    return Total([Spot(number, number)])


@entrypoint()
def functional(number: int, *, previous: Any = None) -> Any:
    totals = [create_total(n).result() for n in range(number)]
    interrupt(Colour.RED)
    expected = [Total([Spot(n, n)]) for n in range(number)]
    comparisons = [comparison("tasks", totals, expected)]
    if previous is not None:
        comparisons.append(
            comparison("previous", previous, {"order": Order(lines=[number]), "comparisons": ["tasks: same"]})
        )
    return entrypoint.final(value=comparisons, save={"order": Order(lines=[number]), "comparisons": comparisons})


class Connection:
    def __init__(self) -> None:
        self.lock = threading.Lock()


def connect(state: State) -> State:
    return {"value": {"connections": [Total([Connection()])]}}


client = StateGraph(State).add_node(connect).add_edge(START, "connect").compile()
