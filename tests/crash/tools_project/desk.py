"""A graph that issues a refund in a subgraph, and notes each refund in a file that no database rolls back."""

import os
from pathlib import Path
from typing import Any, TypedDict

from langgraph.graph import START, StateGraph

import slipway.tools
from slipway.graphs.interface import Graph


class State(TypedDict, total=False):
    """What is refunded, and what the tool returned."""

    order: str
    results: list[str]


def refund(order: str) -> str:
    """Note the refund with its idempotency key, in one write."""
    with Path(f"{os.environ['EFFECTS']}.refunds").open("a") as file:
        file.write(f"{order} {slipway.tools.idempotency_key()}\n")
    return f"refunded {order}"


@slipway.tools.tool(access="write")
def issue_refund(order: str) -> str:
    """Refund an order."""
    return refund(order)


@slipway.tools.tool(access="write", approval="always")
async def issue_approved_refund(order: str) -> str:
    """Refund an order, when somebody has approved it."""
    return refund(order)


async def pay(state: State) -> dict[str, Any]:
    return {"results": [await slipway.tools.call("issue_refund", order=state["order"])]}


async def pay_approved(state: State) -> dict[str, Any]:
    return {"results": [await slipway.tools.call("issue_approved_refund", order=state["order"])]}


def _inside(name: str, node: Any) -> Graph:
    inner = StateGraph(State).add_node(name, node).add_edge(START, name).compile()
    return StateGraph(State).add_node("desk", inner).add_edge(START, "desk").compile()


refunds = _inside("pay", pay)
approved_refunds = _inside("pay", pay_approved)
