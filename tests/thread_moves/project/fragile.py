"""A graph whose second node always fails in version 1."""

from __future__ import annotations

import operator
from typing import Annotated, Any

from langgraph.graph import START, StateGraph
from langgraph.types import RetryPolicy
from typing_extensions import TypedDict


class State(TypedDict, total=False):
    log: Annotated[list[str], operator.add]


def first(state: State) -> Any:
    return {"log": ["first"]}


def fails(state: State) -> Any:
    raise ValueError("no connection")


def works(state: State) -> Any:
    return {"log": ["second"]}


def _compiled(second: Any) -> Any:
    builder: Any = StateGraph(State)
    builder.add_node("first", first)
    builder.add_node("second", second, retry_policy=RetryPolicy(max_attempts=2, initial_interval=0.01, jitter=False))
    builder.add_edge(START, "first")
    builder.add_edge("first", "second")
    return builder.compile()


broken = _compiled(fails)
repaired = _compiled(works)
