"""Graphs that were given a part of their config by `with_config`."""

from __future__ import annotations

from typing import Any, TypedDict

from langchain_core.runnables import RunnableConfig
from langgraph.graph import END, START, StateGraph

from slipway.graphs.interface import Graph


class Rounds(TypedDict, total=False):
    """A loop's counter, and when it stops."""

    value: int
    until: int


class NodeConfig(TypedDict, total=False):
    """The config that a node received."""

    node_config: dict[str, Any]


def report_config(state: NodeConfig, config: RunnableConfig) -> NodeConfig:
    """Returns those members of its config that the tests compare."""
    configurable = {name: config["configurable"].get(name) for name in ("tone", "size")}
    metadata = {name: config["metadata"].get(name) for name in ("team", "level")}
    tags = [tag for tag in config["tags"] if not tag.startswith("seq:")]
    members = {"tags": tags, "metadata": metadata, "configurable": configurable}
    return {"node_config": members | {"max_concurrency": config.get("max_concurrency")}}


def make_loop_of_four() -> Graph:
    """A factory of the same graph as `loop_of_four`."""
    return endless.with_config({"recursion_limit": 4})


endless: Graph = (
    StateGraph(Rounds)
    .add_node("count", lambda state: {"value": state["value"] + 1})
    .add_edge(START, "count")
    .add_conditional_edges("count", lambda state: "count" if state["value"] < state.get("until", 10**9) else END)
    .compile()
)
loop_of_four = endless.with_config({"recursion_limit": 4})
generous_loop = endless.with_config({"recursion_limit": 9_999})
bound = (
    StateGraph(NodeConfig)
    .add_node("report_config", report_config)
    .add_edge(START, "report_config")
    .compile()
    .with_config(
        {
            "tags": ["bound"],
            "metadata": {"team": "desk", "level": 1},
            "configurable": {"tone": "dry", "size": 1},
            "run_name": "named",
            "max_concurrency": 3,
        }
    )
)
