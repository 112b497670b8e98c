"""Graphs whose node changes a large state in place: that of the node before, or the input of the run."""

from typing import Any, TypedDict

from langgraph.graph import START, StateGraph

ITEMS = 4_000
"""Enough for a state that is encoded in slices."""


class Large(TypedDict, total=False):
    """State of `changes_in_place`."""

    items: list[dict[str, str]]
    done: bool


async def fill(state: Large) -> dict[str, Any]:
    """Writes the large state."""
    return {"items": [{"text": "unchanged " * 10} for _ in range(ITEMS)]}


async def change(state: Large) -> dict[str, Any]:
    """Changes it without returning it, as no node should."""
    for item in state["items"]:
        item["text"] = "changed"
    return {"done": True}


changes_input = StateGraph(Large).add_node("change", change).add_edge(START, "change").compile()
changes_in_place = (
    StateGraph(Large)
    .add_node("fill", fill)
    .add_node("change", change)
    .add_edge(START, "fill")
    .add_edge("fill", "change")
    .compile()
)
