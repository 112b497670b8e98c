"""Graphs that hooks start."""

import operator
from typing import Annotated, Any, TypedDict

from langgraph.graph import START, StateGraph
from langgraph.types import interrupt


class State(TypedDict, total=False):
    repo: str
    messages: Annotated[list[str], operator.add]
    who: str
    answer: Any


async def note(state: State) -> State:
    return {"messages": [f"seen {state.get('repo', '?')}"]}


def ask(state: State) -> State:
    return {"answer": interrupt({"question": "may it be merged?"})}


notes = StateGraph(State).add_node("note", note).add_edge(START, "note").compile()
asks = StateGraph(State).add_node("ask", ask).add_edge(START, "ask").compile()
