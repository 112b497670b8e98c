"""Functions that make a graph for each configuration."""

from __future__ import annotations

from itertools import pairwise
from typing import Annotated, Any, Literal, TypedDict

from langchain_core.runnables import RunnableConfig
from langgraph.graph import END, START, StateGraph
from langgraph.types import interrupt

from slipway.graphs.interface import Graph


def joined(before: list[str], new: list[str]) -> list[str]:
    return before + new


class Made(TypedDict, total=False):
    """What made graphs write."""

    log: Annotated[list[str], joined]


def node_of(name: str, asks: bool) -> Any:
    """A node that writes its name, with the answer if it asks."""

    def work(state: Made) -> Made:
        return {"log": [f"{name}: {interrupt(f'{name}?')}" if asks else name]}

    return work


def made(config: RunnableConfig) -> Graph:
    """A row of the nodes that `configurable.nodes` names, which asks in each; a name in `inside` is a subgraph."""
    chosen = config["configurable"]
    graph = StateGraph(Made)
    for name in chosen["nodes"]:
        node = node_of(name, asks=True)
        if name in chosen.get("inside", []):
            node = StateGraph(Made).add_node("within", node).add_edge(START, "within").compile()
        graph.add_node(name, node)
    graph.add_edge(START, chosen["nodes"][0])
    for earlier, later in pairwise(chosen["nodes"]):
        graph.add_edge(earlier, later)
    return graph.compile()


def _way(state: Made, config: RunnableConfig) -> Literal["left", "right"]:
    return "left" if config["configurable"]["way"] == "left" else "right"


forked = StateGraph(Made).add_node("begin", node_of("begin", asks=False))
forked.add_node("left", node_of("left", asks=False)).add_edge("left", END)
forked.add_node("right", node_of("right", asks=False)).add_edge("right", END)
forked.add_edge(START, "begin").add_conditional_edges("begin", _way)
