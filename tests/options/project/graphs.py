"""One graph that stops at a gate or an interrupt, counts supersteps and grows."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from typing import Any, TypedDict

from langchain_core.runnables import RunnableConfig
from langgraph.graph import END, START, StateGraph
from langgraph.types import RetryPolicy, interrupt

gates: defaultdict[str, asyncio.Event] = defaultdict(asyncio.Event)
"""Thread id to what a run with `"gate": true` waits for."""


class State(TypedDict, total=False):
    """`size` is how many bytes each superstep adds to the state; `fails` how often the node fails first; `question_at`
    the number of supersteps after which the node interrupts."""

    steps: int
    upto: int
    gate: bool
    size: int
    fails: int
    text: str
    question_at: int


failed: defaultdict[str, int] = defaultdict(int)


async def step(state: State, config: RunnableConfig) -> dict[str, Any]:
    """One superstep."""
    thread_id = config["configurable"]["thread_id"]
    if state.get("gate"):
        await gates[thread_id].wait()
    if failed[thread_id] < state.get("fails", 0):
        failed[thread_id] += 1
        raise ConnectionError("again")
    if state.get("question_at") == state.get("steps", 0):
        interrupt("continue?")
    return {"steps": state.get("steps", 0) + 1, "text": state.get("text", "") + "x" * state.get("size", 0)}


def more(state: State) -> bool:
    """Whether there is another superstep to do."""
    return state.get("steps", 0) < state.get("upto", 1)


graph = (
    StateGraph(State)
    .add_node("step", step, retry_policy=RetryPolicy(0.001, 1, jitter=False, max_attempts=50))
    .add_edge(START, "step")
    .add_conditional_edges("step", more, {True: "step", False: END})
    .compile()
)
