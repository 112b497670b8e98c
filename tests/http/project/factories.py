"""A factory that builds a graph for each config, and a graph whose edges depend on the config."""

from __future__ import annotations

from itertools import pairwise
from typing import Annotated, Any, Literal, TypedDict

from langchain_core.runnables import RunnableConfig
from langgraph.graph import END, START, StateGraph
from langgraph.types import interrupt

from slipway.graphs.interface import Graph


def joined(before: list[str], new: list[str]) -> list[str]:
    return before + new


class State(TypedDict, total=False):
    log: Annotated[list[str], joined]


def node_of(name: str, interrupts: bool) -> Any:
    """A node that writes its name; with `interrupts`, it interrupts and writes the answer too."""

    def work(state: State) -> State:
        return {"log": [f"{name}: {interrupt(f'{name}?')}" if interrupts else name]}

    return work


def build(config: RunnableConfig) -> Graph:
    """A sequence of the nodes in `configurable.nodes`, each of which interrupts. A name in `inside` is a subgraph."""
    configurable = config["configurable"]
    graph = StateGraph(State)
    for name in configurable["nodes"]:
        node = node_of(name, interrupts=True)
        if name in configurable.get("inside", []):
            node = StateGraph(State).add_node("within", node).add_edge(START, "within").compile()
        graph.add_node(name, node)
    graph.add_edge(START, configurable["nodes"][0])
    for earlier, later in pairwise(configurable["nodes"]):
        graph.add_edge(earlier, later)
    return graph.compile()


def _branch(state: State, config: RunnableConfig) -> Literal["left", "right"]:
    return "left" if config["configurable"]["branch"] == "left" else "right"


branching = StateGraph(State).add_node("begin", node_of("begin", interrupts=False))
branching.add_node("left", node_of("left", interrupts=False)).add_edge("left", END)
branching.add_node("right", node_of("right", interrupts=False)).add_edge("right", END)
branching.add_edge(START, "begin").add_conditional_edges("begin", _branch)
