"""Version 1 whose code was changed under the same name: the values of its threads do not fit its state any more."""

from __future__ import annotations

import operator
from typing import Annotated, Any

from langgraph.graph import START, StateGraph
from typing_extensions import TypedDict


class State(TypedDict, total=False):
    name: int
    log: Annotated[list[str], operator.add]


def unused(state: State) -> Any:
    raise AssertionError


builder: Any = StateGraph(State)
for name in ("draft", "review", "send"):
    builder.add_node(name, unused)
builder.add_edge(START, "draft")
builder.add_edge("draft", "review")
builder.add_edge("review", "send")
graph = builder.compile()
