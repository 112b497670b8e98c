"""Graphs inside graphs."""

from __future__ import annotations

from typing import Any, TypedDict

from langgraph.graph import START, StateGraph
from langgraph.pregel.remote import RemoteGraph
from langgraph.types import interrupt


class Said(TypedDict, total=False):
    """What all of them share."""

    said: str


def ask(state: Said) -> Said:
    """Stops until somebody answers."""
    return {"said": interrupt("well?")}


def one(name: str, node: Any) -> Any:
    """A graph of this one node."""
    return StateGraph(Said).add_node(name, node).add_edge(START, name)


deep = one("ask", ask).compile()
three_deep = one("middle", one("deep", deep).compile()).compile()
away = RemoteGraph("anything", url="http://127.0.0.1:1", name="away")
beside_away = one("child", deep).add_node("away", away).add_edge(START, "away").compile(interrupt_before=["away"])
