"""Graphs that put objects wherever their types say nothing of them, and compare what they get back."""

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
    held: Any
    seen: Annotated[list[str], add]


def objects() -> dict[str, Any]:
    from late import Late  # type: ignore[import-not-found]

    order = Order(lines=[{"spot": Spot(1, 2), "late": [Late(3)]}, Total([Colour.RED])])
    order._note = Spot(3, 4)
    return {"order": order, "colours": {Colour.RED}, "late": Late(4), "json": {"lc": 2, "type": "constructor"}}


def compared(name: str, found: Any, expected: Any) -> str:
    same = found == expected and repr(found) == repr(expected) and type(found) is type(expected)
    return f"{name}: {'same' if same else repr(found)}"


def put(state: State) -> State:
    return {"held": objects()}


def ask(state: State) -> Command[str]:
    answer = interrupt(Order(lines=[Spot(0, 0)]))
    found = [compared("state", state["held"], objects()), compared("answer", answer, "yes")]
    sends = [Send("part", Total([Spot(1, 1), name])) for name in ("a", "b")]
    return Command(update={"held": Spot(9, 9), "seen": found}, goto=sends)


def part(total: Any) -> State:
    name = total.parts[1]
    interrupt({"name": name, "colour": Colour.RED})
    return {"seen": [compared(f"send {name}", total, Total([Spot(1, 1), name]))]}


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
def made(number: int) -> Any:
    return Total([Spot(number, number)])


@entrypoint()
def functional(number: int, *, previous: Any = None) -> Any:
    totals = [made(n).result() for n in range(number)]
    interrupt(Colour.RED)
    expected = [Total([Spot(n, n)]) for n in range(number)]
    seen = [compared("tasks", totals, expected)]
    if previous is not None:
        seen.append(compared("previous", previous, {"order": Order(lines=[number]), "seen": ["tasks: same"]}))
    return entrypoint.final(value=seen, save={"order": Order(lines=[number]), "seen": seen})


class Connection:
    def __init__(self) -> None:
        self.lock = threading.Lock()


def connect(state: State) -> State:
    return {"held": {"connections": [Total([Connection()])]}}


client = StateGraph(State).add_node(connect).add_edge(START, "connect").compile()
