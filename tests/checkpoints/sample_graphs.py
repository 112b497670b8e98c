"""Graphs that several modules of tests execute: one with an interrupt in a subgraph, one with a delta channel."""

from __future__ import annotations

import operator
from collections.abc import Sequence
from typing import Annotated, Any, TypedDict

from langchain_core.runnables import RunnableConfig
from langgraph.channels.delta import DeltaChannel
from langgraph.graph import END, START, StateGraph
from langgraph.types import interrupt

from tests.shards import run_on


class Order(TypedDict):
    amount: int
    log: Annotated[list[str], operator.add]
    answer: str


def refund_graph(saver: Any) -> Any:
    async def ask(state: Order) -> dict[str, Any]:
        answer = interrupt({"may I pay": state["amount"]})
        return {"answer": answer, "log": [f"asked: {answer}"]}

    async def prepare(state: Order) -> dict[str, Any]:
        return {"log": ["prepared"]}

    inner = StateGraph(Order)
    inner.add_node("prepare", prepare)
    inner.add_node("ask", ask)
    inner.add_edge(START, "prepare")
    inner.add_edge("prepare", "ask")

    async def pay(state: Order) -> dict[str, Any]:
        return {"log": [f"paid {state['amount']}" if state["answer"] == "yes" else "refused"]}

    outer = StateGraph(Order)
    outer.add_node("decide", inner.compile())
    outer.add_node("pay", pay)
    outer.add_edge(START, "decide")
    outer.add_edge("decide", "pay")
    return outer.compile(checkpointer=saver)


def _append(state: list[Any], writes: Sequence[Any]) -> list[Any]:
    return state + [item for write in writes for item in (write if isinstance(write, list) else [write])]


class Journal(TypedDict):
    lines: Annotated[list[str], DeltaChannel(_append, snapshot_frequency=5)]
    count: int


def journal_graph(saver: Any) -> Any:
    async def write(state: Journal) -> dict[str, Any]:
        count = state.get("count", 0) + 1
        return {"lines": [f"line {count}"], "count": count}

    builder = StateGraph(Journal)
    builder.add_node("write", write)
    builder.add_edge(START, "write")
    builder.add_conditional_edges("write", lambda state: "write" if state["count"] % 3 else END, ["write", END])
    return builder.compile(checkpointer=saver)


async def run_journal(saver: Any, runs: int) -> tuple[Any, RunnableConfig]:
    """Execute so many runs of the journal on thread `t`."""
    graph = journal_graph(saver)
    config: RunnableConfig = {"configurable": {"thread_id": "t"}}
    for number in range(runs):
        await graph.ainvoke({"lines": [f"run {number}"]}, config | {"metadata": {"run_id": run_on("t", f"r{number}")}})
    return graph, config
