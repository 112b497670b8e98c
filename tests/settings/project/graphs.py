"""One graph that can wait at a gate, interrupt, fail, loop, and let its state grow."""

from __future__ import annotations

import asyncio
import random
import string
from collections import defaultdict
from typing import Any, TypedDict

from langchain_core.language_models import GenericFakeChatModel
from langchain_core.messages import AIMessage
from langchain_core.runnables import RunnableConfig
from langchain_core.tools import tool
from langgraph.graph import END, START, StateGraph
from langgraph.types import RetryPolicy, interrupt

gates: defaultdict[str, asyncio.Event] = defaultdict(asyncio.Event)
"""Thread id to the event that a run with `"gate": true` waits for."""


class State(TypedDict, total=False):
    """`upto` is the number of supersteps, `size` the bytes that each superstep adds to `text`, `fails` how often the
    node fails before it succeeds, and `interrupt_at` the number of supersteps after which the node interrupts. Each
    superstep calls a model `model_calls` times, and a tool `tool_calls` times."""

    steps: int
    upto: int
    gate: bool
    size: int
    fails: int
    text: str
    interrupt_at: int
    model_calls: int
    tool_calls: int


failures: defaultdict[str, int] = defaultdict(int)
"""Thread id to how often the node failed."""


def noise(size: int) -> str:
    """A text that compression makes hardly smaller."""
    return "".join(random.choices(string.ascii_letters + string.digits, k=size))


@tool
def look() -> str:
    """Looks."""
    return "…"


async def step(state: State, config: RunnableConfig) -> dict[str, Any]:
    thread_id = config["configurable"]["thread_id"]
    if state.get("gate"):
        await gates[thread_id].wait()
    for _ in range(state.get("tool_calls", 0)):
        await look.ainvoke({})
    for _ in range(state.get("model_calls", 0)):
        await GenericFakeChatModel(messages=iter([AIMessage("…")])).ainvoke("…")
    if failures[thread_id] < state.get("fails", 0):
        failures[thread_id] += 1
        raise ConnectionError("the node fails for this test")
    if state.get("interrupt_at") == state.get("steps", 0):
        interrupt("continue?")
    return {"steps": state.get("steps", 0) + 1, "text": state.get("text", "") + noise(state.get("size", 0))}


def has_next_step(state: State) -> bool:
    return state.get("steps", 0) < state.get("upto", 1)


graph = (
    StateGraph(State)
    .add_node("step", step, retry_policy=RetryPolicy(0.001, 1, jitter=False, max_attempts=50))
    .add_edge(START, "step")
    .add_conditional_edges("step", has_next_step, {True: "step", False: END})
    .compile()
)
