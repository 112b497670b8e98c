"""A graph that does nothing."""

from __future__ import annotations

from typing import TypedDict

from langgraph.graph import START, StateGraph


class State(TypedDict, total=False):
    """What a run has."""

    text: str


def answer(state: State) -> State:
    return state


graph = StateGraph(State).add_node("answer", answer).add_edge(START, "answer").compile()
