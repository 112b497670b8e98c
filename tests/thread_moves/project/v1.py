"""Version 1: a node that is called review asks."""

from __future__ import annotations

import operator
from typing import Annotated, Any

from langgraph.graph import START, StateGraph
from langgraph.types import interrupt
from typing_extensions import TypedDict


class State(TypedDict, total=False):
    name: str
    log: Annotated[list[str], operator.add]


DRAFTS: list[str] = []
"""The names for which a draft was made."""


def draft(state: State) -> Any:
    DRAFTS.append(state["name"])
    return {"log": ["draft 1"]}


def review(state: State) -> Any:
    return {"log": [f"review 1: {interrupt({'question': state['name']})}"]}


def send(state: State) -> Any:
    return {"log": ["send 1"]}


builder: Any = StateGraph(State)
builder.add_node("draft", draft)
builder.add_node("review", review)
builder.add_node("send", send)
builder.add_edge(START, "draft")
builder.add_edge("draft", "review")
builder.add_edge("review", "send")
graph = builder.compile()
