"""A node pays with a tool, and then asks. In version 2 it has another name, and a factory makes the graph."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from langchain_core.runnables import RunnableConfig
from langgraph.graph import START, StateGraph
from langgraph.types import interrupt
from typing_extensions import TypedDict

import slipway.tools


class State(TypedDict, total=False):
    log: list[str]


@slipway.tools.tool(access="write")
async def pay(order: str) -> str:
    with Path(order).open("a") as file:
        file.write("paid ")
    return "receipt"


def graph_of(node: str, version: str) -> Any:
    async def review(state: State) -> Any:
        receipt = await slipway.tools.call("pay", order=state["log"][0])
        return {"log": [f"{receipt} {version}: {interrupt('ok?')}"]}

    builder: Any = StateGraph(State)
    builder.add_node(node, review)
    builder.add_edge(START, node)
    return builder.compile()


old = graph_of("review", "1")


def new(config: RunnableConfig) -> Any:
    return graph_of("human_review", "2")
