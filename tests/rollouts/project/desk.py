"""Three versions of a graph. Each says which one it is, and fails or reaches a ceiling as its input asks."""

from __future__ import annotations

import asyncio
from typing import TypedDict

from langgraph.graph import END, START, StateGraph


class State(TypedDict, total=False):
    version: str
    fails_on: str
    """The version that fails."""
    loops_on: str
    """The version that never ends."""
    waits: bool
    """Whether the run does not end by itself."""


def _build(version: str) -> StateGraph[State, None, State, State]:
    async def work(state: State) -> State:
        if state.get("waits"):
            await asyncio.Event().wait()
        if state.get("fails_on") == version:
            raise RuntimeError("the desk is on fire")
        return {"version": version}

    def follow(state: State) -> str:
        return "work" if state.get("loops_on") == version else END

    builder = StateGraph(State)
    builder.add_node("work", work)
    builder.add_edge(START, "work")
    builder.add_conditional_edges("work", follow, ["work", END])
    return builder


first = _build("1").compile()
second = _build("2").compile()
third = _build("3").compile()
