"""Graphs that say what they know, and one that asks."""

from typing import TypedDict

from langchain_core.runnables import RunnableConfig
from langgraph.graph import START, StateGraph
from langgraph.types import interrupt


class State(TypedDict, total=False):
    """What all of them share."""

    text: str
    said: str


def say(state: State, config: RunnableConfig) -> State:
    """For whom it runs."""
    return {"said": f"for {config['configurable'].get('user_id')}"}


def ask(state: State) -> State:
    """Waits for an answer."""
    return {"said": interrupt("well?")}


greet = StateGraph(State).add_node("say", say).add_edge(START, "say").compile()
asking = StateGraph(State).add_node("ask", ask).add_edge(START, "ask").compile()
