# mypy: disable-error-code="import-not-found"
"""Creates an order, interrupts, and reports from which packages its class and its functions were imported."""

from __future__ import annotations

from typing import Any, TypedDict

from langgraph.graph import END, START, StateGraph
from langgraph.types import interrupt
from workers.prices import price_of

from app.models import Order


class State(TypedDict, total=False):
    """`order` is an object of a class of this project."""

    number: int
    order: Order
    report: dict[str, Any]


def create(state: State) -> State:
    return {"order": Order(state["number"])}


def ask(state: State) -> State:
    """Interrupts. After the answer, the node executes again with the stored state."""
    from api.approvals import question  # imported when the node executes, as in many projects
    from library.texts import thanks
    from tests.samples import SAMPLE

    order = state["order"]
    answer = interrupt(question(order.number))
    return {
        "report": {
            "class": f"{type(order).__module__}.{type(order).__qualname__}",
            "price": price_of(order.number),
            "text": thanks(answer),
            "sample": SAMPLE,
        }
    }


graph = (
    StateGraph(State)
    .add_node(create)
    .add_node(ask)
    .add_edge(START, "create")
    .add_edge("create", "ask")
    .add_edge("ask", END)
).compile()
