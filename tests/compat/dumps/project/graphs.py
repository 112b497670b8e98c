"""Graphs that pause in each way that a stored thread can be paused. The dumps beside this folder were made with them: a
change of what a graph stores makes the dumps useless, so graphs are added and never changed."""

from __future__ import annotations

import asyncio
import operator
import os
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from enum import Enum
from pathlib import Path
from typing import Annotated, Any, Final, TypedDict
from uuid import UUID

from langchain_core.messages import AIMessage, AnyMessage, HumanMessage
from langgraph.channels.delta import DeltaChannel
from langgraph.config import get_config
from langgraph.func import entrypoint, task
from langgraph.graph import END, START, StateGraph, add_messages
from langgraph.types import Command, Send, interrupt
from pydantic import BaseModel

import slipway.tools

HELD_NODES: Final = "DUMPS_HELD_NODES"
"""Environment variable: the names of nodes at which this process waits until it is killed, separated by commas."""

HELD_FOLDER: Final = "DUMPS_HELD_FOLDER"
"""Environment variable: where such a node creates a file `<thread>.<node>`."""

STARTED: defaultdict[str, list[str]] = defaultdict(list)
"""Thread id to the nodes and tasks that have started in this process, in order."""

GATES: dict[str, asyncio.Event] = {}
"""Node to an event for which it waits."""

FAILING: set[str] = set()
"""Nodes that fail."""


def thread_id() -> str:
    return str(get_config()["configurable"]["thread_id"])


async def start(node: str) -> None:
    """What each node and task calls first."""
    STARTED[thread_id()].append(node)
    if node in os.environ.get(HELD_NODES, "").split(","):
        (Path(os.environ[HELD_FOLDER]) / f"{thread_id()}.{node}").touch()
        await asyncio.Event().wait()
    if node in GATES:
        await GATES[node].wait()
    if node in FAILING:
        raise ConnectionError(f"{node} fails")


class State(TypedDict, total=False):
    """`log` has a line for each node that has ended."""

    log: Annotated[list[str], operator.add]
    item: str
    ask: bool


def step(name: str) -> Any:
    """A node that does nothing but log."""

    async def node(state: State) -> State:
        await start(name)
        return {"log": [name]}

    return node


def asking(name: str, times: int = 1) -> Any:
    """A node that asks so many questions, one after the other."""

    async def node(state: State) -> State:
        await start(name)
        return {"log": [f"{name}: {interrupt({'question': f'{name} {number}'})}" for number in range(times)]}

    return node


def in_a_row(schema: Any, **nodes: Any) -> StateGraph[Any]:
    """A graph that executes these nodes one after the other."""
    builder: StateGraph[Any] = StateGraph(schema)
    before = START
    for name, node in nodes.items():
        builder.add_node(name, node).add_edge(before, name)
        before = name
    return builder


_steps = in_a_row(State, one=step("one"), two=step("two"), three=step("three"))
steps = _steps.compile()
breakpoint_graph = _steps.compile(interrupt_before=["two"])
failing = in_a_row(State, one=step("one"), fails=step("fails"), three=step("three")).compile()
ask = in_a_row(State, one=step("one"), ask=asking("ask"), three=step("three")).compile()
reviewed = in_a_row(State, ask=asking("ask"), end=step("end")).compile()
twice = in_a_row(State, one=step("one"), ask=asking("ask", times=2), three=step("three")).compile()

_questions = StateGraph(State).add_node("a", asking("a")).add_node("b", asking("b")).add_node("end", step("end"))
questions = _questions.add_edge(START, "a").add_edge(START, "b").add_edge(["a", "b"], "end").compile()
"""Two questions at once."""

_inner = in_a_row(State, before=step("before"), ask=asking("ask"), after=step("after")).compile()
_middle = in_a_row(State, begin=step("begin"), inner=_inner).compile()
deep = in_a_row(State, one=step("one"), middle=_middle, three=step("three")).compile()
"""A question in a subgraph of a subgraph. Each subgraph returns its whole log, so `log` has the lines before it once
more for each level."""


async def work(state: State) -> State:
    """The node that `Send` starts for each item."""
    item = state["item"]
    await start(f"work {item}")
    return {"log": [f"{item}: {interrupt(item)}" if state.get("ask") else item]}


def _works(state: State) -> list[Send]:
    return [Send("work", {"item": item, "ask": item.isupper()}) for item in state["item"]]


_fan = StateGraph(State).add_node("plan", step("plan")).add_node("work", work).add_node("collect", step("collect"))
fan = _fan.add_edge(START, "plan").add_conditional_edges("plan", _works, ["work"]).add_edge("work", "collect").compile()
"""One task for each letter of `item`; capital letters ask."""

_join = StateGraph(State).add_node("a", step("a")).add_node("b", step("b")).add_node("c", step("c"))
_join.add_node("end", step("end")).add_edge(START, "a").add_edge(START, "b").add_edge("b", "c")
join = _join.add_edge(["a", "c"], "end").compile(interrupt_before=["c"])
"""Waits before `c`, while the join has seen `a`."""


class Memory(TypedDict, total=False):
    """The state of a subgraph that keeps it from run to run."""

    log: Annotated[list[str], operator.add]
    visits: Annotated[int, operator.add]


async def _visit(state: Memory) -> Memory:
    await start("visit")
    return {"visits": 1, "log": [f"visit {state.get('visits', 0) + 1}"]}


class Visited(TypedDict, total=False):
    """Shares no channel with the subgraph except `log`, which the subgraph returns whole."""

    log: list[str]


remembers = in_a_row(Visited, memory=in_a_row(Memory, visit=_visit).compile(checkpointer=True)).compile()


def _append(state: list[str], writes: Sequence[list[str]]) -> list[str]:
    return [*state, *(line for write in writes for line in write)]


class Journal(TypedDict):
    """`log` is stored as its changes, with a snapshot after some of them."""

    log: Annotated[list[str], DeltaChannel(_append, snapshot_frequency=4)]
    count: int


async def write(state: Journal) -> dict[str, Any]:
    count = state.get("count", 0) + 1
    await start(f"write {count}")
    answer = interrupt("go on?") if count == 6 else None
    return {"log": [f"line {count}" if answer is None else f"line {count}: {answer}"], "count": count}


_journal = StateGraph(Journal).add_node("write", write).add_edge(START, "write")
journal = _journal.add_conditional_edges("write", lambda state: "write" if state["count"] < 8 else END).compile()


class Priority(Enum):
    """A value of the project."""

    HIGH = "high"


class Customer(BaseModel):
    """A value of the project."""

    name: str
    since: datetime


@dataclass(frozen=True)
class Amount:
    """A value of the project."""

    value: Decimal
    currency: str


class Objects(TypedDict, total=False):
    """Values of many types."""

    log: Annotated[list[str], operator.add]
    messages: Annotated[list[AnyMessage], add_messages]
    customer: Customer
    amount: Amount
    priority: Priority
    order: UUID
    at: datetime
    raw: bytes
    tags: set[str]


VALUES: Objects = {
    "messages": [HumanMessage("hi", id="1"), AIMessage("ho", id="2")],
    "customer": Customer(name="Änne", since=datetime(2024, 2, 29, tzinfo=UTC)),
    "amount": Amount(Decimal("12.50"), "EUR"),
    "priority": Priority.HIGH,
    "order": UUID(int=7),
    "at": datetime(2025, 1, 2, 3, 4, 5, 678901, tzinfo=UTC),
    "raw": b"\0\xff",
    "tags": {"a", "b"},
}


async def collect(state: Objects) -> Objects:
    await start("collect")
    return {"log": ["collected"], **VALUES}


async def compare(state: Objects) -> Command[Any]:
    """Logs which values are not what `collect` has returned, after a question."""
    await start("compare")
    answer = interrupt("equal?")
    changed = [name for name, value in VALUES.items() if state.get(name) != value]
    return Command(update={"log": [f"{answer}: {changed}"]}, goto="end")


_objects = StateGraph(Objects).add_node("collect", collect).add_node("compare", compare, destinations=("end",))
objects = _objects.add_node("end", step("end")).add_edge(START, "collect").add_edge("collect", "compare").compile()


@task
async def prepare(name: str) -> str:
    await start(f"prepare {name}")
    return f"prepared {name}"


@task
async def finish(answer: Any) -> str:
    await start("finish")
    return f"finished: {answer}"


@entrypoint()
async def functional(graph_input: dict[str, Any], *, previous: list[str] | None = None) -> Any:
    """The value of a run is the log of all runs of the thread."""
    await start("functional")
    prepared = await asyncio.gather(prepare("a"), prepare("b"))
    answer = interrupt("finish?")
    log = [*(previous or []), *prepared, await finish(answer)]
    return entrypoint.final(value={"log": log}, save=log)


@slipway.tools.tool(access="write")
async def note(text: str) -> str:
    """Write a note."""
    await start(f"note {text}")
    return f"noted {text}"


@slipway.tools.tool(access="write", approval="always")
async def refund(order: str, amount: int) -> str:
    """Refund an order."""
    await start(f"refund {order}")
    return f"refunded {order}: {amount}"


async def pay(state: State) -> dict[str, Any]:
    await start("pay")
    noted = await slipway.tools.call("note", text="before")
    return {"log": [noted, await slipway.tools.call("refund", order="o-1", amount=5)]}


tools = in_a_row(State, plan=step("plan"), pay=pay, end=step("end")).compile()
