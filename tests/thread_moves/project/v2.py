"""Version 2: the name has two parts, and the node that asks is called human_review."""

from __future__ import annotations

import operator
from typing import Annotated, Any

from langgraph.graph import START, StateGraph
from langgraph.types import interrupt
from typing_extensions import TypedDict


class State(TypedDict, total=False):
    first_name: str
    last_name: str
    log: Annotated[list[str], operator.add]


def draft(state: State) -> Any:
    return {"log": ["draft 2"]}


def human_review(state: State) -> Any:
    return {"log": [f"review 2: {interrupt({'question': state['first_name']})}"]}


def send(state: State) -> Any:
    return {"log": [f"send 2 {state['last_name']}"]}


builder: Any = StateGraph(State)
builder.add_node("draft", draft)
builder.add_node("human_review", human_review)
builder.add_node("send", send)
builder.add_edge(START, "draft")
builder.add_edge("draft", "human_review")
builder.add_edge("human_review", "send")
graph = builder.compile()
