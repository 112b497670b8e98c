"""Graphs that enqueue arq jobs, in an async and in a sync node, and a graph for the jobs."""

from __future__ import annotations

from typing import Any, TypedDict

from langgraph.graph import StateGraph

import slipway.arq


class State(TypedDict, total=False):
    name: str
    number: int
    greeting: str
    job_id: str


async def enqueue(state: State) -> dict[str, Any]:
    job = await slipway.arq.pool().enqueue_job("greet", state["name"])
    assert job is not None
    return {"greeting": await job.result(timeout=20, poll_delay=0.02)}


def enqueue_in_a_thread(state: State) -> dict[str, Any]:
    job = slipway.arq.enqueue_job_sync("greet", state["name"])
    assert job is not None
    return {"job_id": job.job_id}


async def multiply(state: State) -> dict[str, Any]:
    return {"number": state["number"] * 2}


def single_node(node: Any) -> Any:
    return StateGraph(State).add_node("node", node).set_entry_point("node").compile()


notify, notify_sync, double = single_node(enqueue), single_node(enqueue_in_a_thread), single_node(multiply)
