"""Several items are asked about at the same time, each in a subgraph, beside a node that ends at once. The new version
has another name for the node of the items."""

from __future__ import annotations

import operator
from typing import Annotated, Any, TypedDict

from langgraph.graph import START, StateGraph
from langgraph.types import Send, interrupt

from slipway.migrations import StoredState, migration


class Result(TypedDict, total=False):
    log: Annotated[list[str], operator.add]


class State(Result, total=False):
    item: str


def ask(state: State) -> State:
    return {"log": [f"{state.get('item')} {interrupt(state.get('item'))}"]}


def quick(state: State) -> State:
    return {"log": ["quick"]}


def last(state: State) -> State:
    return {"log": ["last"]}


def _graph(name: str) -> Any:
    item: Any = StateGraph(State, output_schema=Result).add_node(ask).add_edge(START, "ask")

    def items(state: State) -> list[Send]:
        return [Send(name, {"item": "a"}), Send(name, {"item": "b"}), Send("quick", {})]

    builder: Any = StateGraph(State).add_node(name, item.compile()).add_node(quick).add_node(last)
    builder.add_conditional_edges(START, items, [name, "quick"])
    return builder.add_edge(name, "last").add_edge("quick", "last").compile()


old = _graph("item")
new = _graph("line")


@migration(from_version="1", to_version="2")
def rename(stored: StoredState) -> StoredState:
    stored.rename_node("item", "line")
    return stored
