"""Graphs that stop at each kind of position."""

from __future__ import annotations

import operator
from typing import Annotated, Any, TypedDict

from langgraph.channels.delta import DeltaChannel
from langgraph.func import entrypoint, task
from langgraph.graph import END, START, StateGraph
from langgraph.types import Send, interrupt


class Order(TypedDict, total=False):
    amount: int
    log: Annotated[list[str], operator.add]
    answer: str


class Fault(Exception):
    """A node fails."""


def note(text: str) -> Any:
    async def node(state: Any) -> dict[str, Any]:
        return {"log": [text]}

    return node


async def ask(state: Any) -> dict[str, Any]:
    return {"answer": interrupt("may I?")}


async def ask_twice(state: Any) -> dict[str, Any]:
    return {"answer": f"{interrupt('first?')} {interrupt('second?')}"}


async def fail(state: Any) -> dict[str, Any]:
    raise Fault


def question(saver: Any, **options: Any) -> Any:
    """Two nodes, of which the second asks."""
    builder = StateGraph(Order)
    builder.add_node("prepare", note("prepared"))
    builder.add_node("review", ask)
    builder.add_node("pay", note("paid"))
    builder.add_edge(START, "prepare")
    builder.add_edge("prepare", "review")
    builder.add_edge("review", "pay")
    return builder.compile(saver, **options)


def two_questions(saver: Any) -> Any:
    """One node that asks twice."""
    builder = StateGraph(Order)
    builder.add_node("review", ask_twice)
    builder.add_edge(START, "review")
    return builder.compile(saver)


def join(saver: Any, slow: Any = ask) -> Any:
    """A join that waits for `slow`. Another node is next after `quick`."""
    builder = StateGraph(Order)
    builder.add_node("quick", note("quick"))
    builder.add_node("slow", slow)
    builder.add_node("after", note("after"))
    builder.add_node("both", note("both"))
    builder.add_edge(START, "quick")
    builder.add_edge(START, "slow")
    builder.add_edge("quick", "after")
    builder.add_edge(["quick", "slow"], "both")
    return builder.compile(saver)


async def check(sent: Any) -> dict[str, Any]:
    return {"log": [f"checked {interrupt('which?') if sent['number'] == 1 else sent['number']}"]}


def fan_out(saver: Any) -> Any:
    """Three `Send`s, of which the second asks."""
    builder = StateGraph(Order)
    builder.add_node("plan", note("planned"))
    builder.add_node("check", check)  # type: ignore[arg-type]
    builder.add_edge(START, "plan")
    builder.add_conditional_edges("plan", lambda state: [Send("check", {"number": n}) for n in range(3)], ["check"])
    return builder.compile(saver)


def nested(saver: Any, leaf: Any = ask, keeps: bool = False) -> Any:
    """A question two subgraphs below the root."""
    inner = StateGraph(Order).add_node("prepare", note("inner")).add_node("ask", leaf)
    inner.add_edge(START, "prepare").add_edge("prepare", "ask")
    middle = StateGraph(Order).add_node("desk", inner.compile(checkpointer=True if keeps else None))
    middle.add_edge(START, "desk")
    outer = StateGraph(Order).add_node("decide", middle.compile(checkpointer=True if keeps else None))
    outer.add_node("pay", note("paid"))
    outer.add_edge(START, "decide").add_edge("decide", "pay").add_edge("pay", END)
    return outer.compile(saver)


def _append(stored: list[str] | None, writes: list[list[str]]) -> list[str]:
    return [*(stored or []), *(line for lines in writes for line in lines)]


class Journal(TypedDict, total=False):
    log: Annotated[list[str], DeltaChannel(_append)]
    text: str


def journal(saver: Any) -> Any:
    """A delta channel, whose value is rebuilt from the writes of earlier checkpoints."""
    builder: Any = StateGraph(Journal)
    builder.add_node("first", note("first"))
    builder.add_node("second", note("second"))
    builder.add_edge(START, "first")
    builder.add_edge("first", "second")
    return builder.compile(saver)


@task
async def quote(amount: int) -> int:
    return amount + 1


@task
async def confirm(amount: int) -> str:
    return str(interrupt(f"pay {amount}?"))


def flow(saver: Any) -> Any:
    """An `@entrypoint` with a task that has ended and one that asks."""

    @entrypoint(checkpointer=saver)
    async def desk(order: dict[str, Any]) -> str:
        amount = await quote(order["amount"])
        return f"{amount} {await confirm(amount)}"

    return desk
