# mypy: disable-error-code="import-not-found"
"""Takes an order, asks a person, and says where everything came from."""

from __future__ import annotations

from typing import Any, TypedDict

from langgraph.graph import END, START, StateGraph
from langgraph.types import interrupt
from workers.prices import price_of

from app.models import Order


class State(TypedDict, total=False):
    """`order` is stored as an object."""

    number: int
    order: Order
    report: dict[str, Any]


def take(state: State) -> State:
    """The order, as an object of this project."""
    return {"order": Order(state["number"])}


def ask(state: State) -> State:
    """Waits for a person; what comes after is executed with the state that was stored."""
    from api.approvals import question  # inside a node, as projects do
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
    StateGraph(State).add_node(take).add_node(ask).add_edge(START, "take").add_edge("take", "ask").add_edge("ask", END)
).compile()
