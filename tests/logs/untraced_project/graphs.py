"""A graph without tools whose node logs."""

from __future__ import annotations

import logging
from typing import TypedDict

from langgraph.graph import START, StateGraph


class State(TypedDict, total=False):
    text: str


async def speak(state: State) -> State:
    logging.getLogger("project").warning("said by a node")
    return {}


talks = StateGraph(State).add_node(speak).add_edge(START, "speak").compile()
