"""A graph that pays orders when people have approved it, and then books a lorry for each. Every act is a line of a file
that no database rolls back."""

import asyncio
import json
import operator
import os
import random
import time
from pathlib import Path
from typing import Annotated, Any, TypedDict

from langgraph.config import get_config
from langgraph.graph import START, StateGraph
from langgraph.types import Send

import slipway.tools


class State(TypedDict, total=False):
    """`orders` are paid and shipped; `broken` is a file: while it exists, nodes fail after their calls."""

    orders: list[str]
    order: str
    broken: str
    results: Annotated[list[Any], operator.add]


def act(tool: str, **args: Any) -> str:
    """One write, so that a kill leaves the whole line or nothing."""
    thread, key = get_config()["configurable"]["thread_id"], slipway.tools.idempotency_key()
    line = {"thread": thread, "tool": tool, "args": args, "key": key, "at": time.time()}
    with Path(f"{os.environ['EFFECTS']}.acts").open("a") as file:
        file.write(json.dumps(line) + "\n")
    return f"{tool} {args['order']}"


@slipway.tools.tool(access="write", approval="always")
async def pay_order(order: str, amount: int) -> str:
    """Pay an order, when somebody has approved it. It takes a moment, in which a process may be killed."""
    await asyncio.sleep(random.uniform(0, 0.02))
    result = act("pay_order", order=order, amount=amount)
    await asyncio.sleep(random.uniform(0, 0.02))
    return result


@slipway.tools.tool(access="write")
def book_lorry(order: str) -> str:
    """Book a lorry."""
    return act("book_lorry", order=order)


def _fail_if_broken(state: State) -> None:
    if Path(state["broken"]).exists():
        raise ValueError("broken")


async def plan(state: State) -> dict[str, Any]:
    return {"results": ["planned"]}


async def pay(state: State) -> dict[str, Any]:
    paid = await slipway.tools.call("pay_order", order=state["order"], amount=5)
    _fail_if_broken(state)
    return {"results": [paid]}


async def ship(state: State) -> dict[str, Any]:
    booked = [await slipway.tools.call("book_lorry", order=order) for order in state["orders"]]
    _fail_if_broken(state)
    return {"results": booked}


def payments(state: State) -> list[Send]:
    return [Send("pay", {"order": order, "broken": state["broken"]}) for order in state["orders"]]


_builder = StateGraph(State).add_node("plan", plan).add_node("pay", pay).add_node("ship", ship)
_builder.add_edge(START, "plan").add_conditional_edges("plan", payments, ["pay"]).add_edge("pay", "ship")
errands = _builder.compile()
