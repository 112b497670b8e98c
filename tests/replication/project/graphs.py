"""A graph of several supersteps, which records that each has begun: so tests know what was acknowledged before it."""

from __future__ import annotations

from typing import Any, Final

from langchain_core.runnables import RunnableConfig
from langgraph.graph import END, START, StateGraph
from typing_extensions import TypedDict

begun: Final[dict[str, int]] = {}
"""By thread: the number of the last superstep that has begun, from 1."""


class State(TypedDict, total=False):
    """`supersteps`: how many the run has. `done`: how many have ended."""

    supersteps: int
    done: int


async def step(state: State, config: RunnableConfig) -> dict[str, Any]:
    thread_id, done = config["configurable"]["thread_id"], state.get("done", 0)
    begun[thread_id] = max(begun.get(thread_id, 0), done + 1)
    return {"done": done + 1}


def more(state: State) -> str:
    return "step" if state["done"] < state.get("supersteps", 3) else END


builder = StateGraph(State)
builder.add_node("step", step)
builder.add_edge(START, "step")
builder.add_conditional_edges("step", more, ["step", END])
graph = builder.compile()
