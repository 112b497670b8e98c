"""Graphs inside graphs, one and two deep, with questions in them."""

from __future__ import annotations

import operator
from itertools import pairwise
from typing import Annotated, Any

from langgraph.config import get_stream_writer
from langgraph.graph import START, StateGraph
from langgraph.types import interrupt
from typing_extensions import TypedDict


class Shared(TypedDict, total=False):
    """The state of all three levels."""

    value: int
    log: Annotated[list[str], operator.add]


def inner_work(state: Shared) -> Shared:
    get_stream_writer()({"from": "inner"})
    return {"value": state.get("value", 0) + 1, "log": ["inner"]}


def inner_ask(state: Shared) -> Shared:
    return {"log": [f"inner heard {interrupt('inner?')}"]}


def outer(state: Shared) -> Shared:
    return {"log": ["outer"]}


def inner_fail(state: Shared) -> Shared:
    raise ValueError("the inner one is wrong")


def _of(*nodes: Any) -> Any:
    graph: Any = StateGraph(Shared)
    names = []
    for name, node in nodes:
        graph.add_node(name, node)
        names.append(name)
    graph.add_edge(START, names[0])
    for one, next_one in pairwise(names):
        graph.add_edge(one, next_one)
    return graph


worker = _of(("inner_work", inner_work)).compile()
asker = _of(("inner_work", inner_work), ("inner_ask", inner_ask)).compile()
failing = _of(("inner_work", inner_work), ("inner_fail", inner_fail)).compile()
middle = _of(("deep", asker), ("after_deep", outer)).compile()
lasting = _of(("inner_work", inner_work)).compile(checkpointer=True)

parent = _of(("before", outer), ("child", worker), ("after", outer)).compile()
parent_asks = _of(("before", outer), ("child", asker), ("after", outer)).compile()
parent_fails = _of(("before", outer), ("child", failing)).compile()
grandparent = _of(("top", outer), ("middle", middle), ("bottom", outer)).compile()
parent_lasting = _of(("before", outer), ("child", lasting)).compile()


async def calls_inside(state: Shared) -> Shared:
    """A graph that is called by hand, in a node."""
    said = await worker.ainvoke({"value": state.get("value", 0), "log": []})
    return {"value": said["value"], "log": ["called"]}


parent_calls = _of(("calls_inside", calls_inside)).compile()
