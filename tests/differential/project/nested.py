"""Graphs with subgraphs, one and two levels deep, with and without interrupts."""

from __future__ import annotations

import operator
from itertools import pairwise
from typing import Annotated, Any

from langgraph.config import get_stream_writer
from langgraph.graph import START, StateGraph
from langgraph.types import interrupt
from typing_extensions import TypedDict


class Shared(TypedDict, total=False):
    """The state of the graphs on all three levels."""

    value: int
    log: Annotated[list[str], operator.add]


def inner_work(state: Shared) -> Shared:
    get_stream_writer()({"from": "inner"})
    return {"value": state.get("value", 0) + 1, "log": ["inner"]}


def inner_interrupt(state: Shared) -> Shared:
    return {"log": [f"inner received {interrupt('inner?')}"]}


def append_outer(state: Shared) -> Shared:
    return {"log": ["outer"]}


def inner_fail(state: Shared) -> Shared:
    raise ValueError("the inner value is wrong")


def _sequence(*nodes: Any) -> Any:
    graph: Any = StateGraph(Shared)
    names = []
    for name, node in nodes:
        graph.add_node(name, node)
        names.append(name)
    graph.add_edge(START, names[0])
    for earlier, later in pairwise(names):
        graph.add_edge(earlier, later)
    return graph


worker = _sequence(("inner_work", inner_work)).compile()
interrupting = _sequence(("inner_work", inner_work), ("inner_interrupt", inner_interrupt)).compile()
failing = _sequence(("inner_work", inner_work), ("inner_fail", inner_fail)).compile()
middle = _sequence(("deep", interrupting), ("after_deep", append_outer)).compile()
persistent = _sequence(("inner_work", inner_work)).compile(checkpointer=True)

parent = _sequence(("before", append_outer), ("child", worker), ("after", append_outer)).compile()
parent_interrupts = _sequence(("before", append_outer), ("child", interrupting), ("after", append_outer)).compile()
parent_fails = _sequence(("before", append_outer), ("child", failing)).compile()
grandparent = _sequence(("top", append_outer), ("middle", middle), ("bottom", append_outer)).compile()
parent_persistent = _sequence(("before", append_outer), ("child", persistent)).compile()


async def invoke_subgraph(state: Shared) -> Shared:
    """The node calls a graph itself: LangGraph cannot see it as a subgraph of the parent."""
    result = await worker.ainvoke({"value": state.get("value", 0), "log": []})
    return {"value": result["value"], "log": ["invoked"]}


parent_invokes = _sequence(("invoke_subgraph", invoke_subgraph)).compile()
