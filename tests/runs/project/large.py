"""A graph whose second node changes the large state of the first in place."""

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


changes_in_place = (
    StateGraph(Large)
    .add_node("fill", fill)
    .add_node("change", change)
    .add_edge(START, "fill")
    .add_edge("fill", "change")
    .compile()
)
