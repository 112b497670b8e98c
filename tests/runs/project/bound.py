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


class Told(TypedDict, total=False):
    """What a node found in its config."""

    found: dict[str, Any]


def tell(state: Told, config: RunnableConfig) -> Told:
    """What this config says."""
    chosen = {name: config["configurable"].get(name) for name in ("tone", "size")}
    metadata = {name: config["metadata"].get(name) for name in ("team", "level")}
    tags = [tag for tag in config["tags"] if not tag.startswith("seq:")]
    facts = {"tags": tags, "metadata": metadata, "configurable": chosen}
    return {"found": facts | {"max_concurrency": config.get("max_concurrency")}}


def make_loop_of_four() -> Graph:
    """The same by a factory."""
    return endless.with_config({"recursion_limit": 4})


endless: Graph = (
    StateGraph(Rounds)
    .add_node("turn", lambda state: {"value": state["value"] + 1})
    .add_edge(START, "turn")
    .add_conditional_edges("turn", lambda state: "turn" if state["value"] < state.get("until", 10**9) else END)
    .compile()
)
loop_of_four = endless.with_config({"recursion_limit": 4})
generous_loop = endless.with_config({"recursion_limit": 9_999})
bound = (
    StateGraph(Told)
    .add_node("tell", tell)
    .add_edge(START, "tell")
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
