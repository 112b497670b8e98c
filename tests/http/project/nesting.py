"""Subgraphs: two levels deep, and one on a server that cannot be reached."""

from __future__ import annotations

from typing import Any, TypedDict

import httpx
from langgraph.graph import START, StateGraph
from langgraph.pregel.remote import RemoteGraph
from langgraph.types import interrupt
from langgraph_sdk.client import LangGraphClient


class State(TypedDict, total=False):
    text: str


def ask(state: State) -> State:
    return {"text": interrupt("well?")}


def graph_of(name: str, node: Any) -> Any:
    """A graph with one node."""
    return StateGraph(State).add_node(name, node).add_edge(START, name)


deep = graph_of("ask", ask).compile()
three_deep = graph_of("middle", graph_of("deep", deep).compile()).compile()
unreachable = RemoteGraph(
    "anything", client=LangGraphClient(httpx.AsyncClient(base_url="http://127.0.0.1:1")), name="unreachable"
)
"""The client of the SDK would connect six times, for 16 s in all."""
beside_away = (
    graph_of("child", deep)
    .add_node("unreachable", unreachable)
    .add_edge(START, "unreachable")
    .compile(interrupt_before=["unreachable"])
)
