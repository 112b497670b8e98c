"""Two versions of a graph: the second one has a channel less."""

from __future__ import annotations

from typing import TypedDict

from langgraph.graph import START, StateGraph


class First(TypedDict, total=False):
    text: str
    notes: str


class Second(TypedDict, total=False):
    text: str


def write(state: Second) -> Second:
    return {"text": "hello"}


first = StateGraph(First).add_node("write", write).add_edge(START, "write").compile()
second = StateGraph(Second).add_node("write", write).add_edge(START, "write").compile()
