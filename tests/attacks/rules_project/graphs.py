"""A graph that returns its user, and one that interrupts."""

from typing import TypedDict

from langchain_core.runnables import RunnableConfig
from langgraph.graph import START, StateGraph
from langgraph.types import interrupt


class State(TypedDict, total=False):
    text: str
    reply: str


def say(state: State, config: RunnableConfig) -> State:
    return {"reply": f"for {config['configurable'].get('user_id')}"}


def ask(state: State) -> State:
    return {"reply": interrupt("well?")}


greet = StateGraph(State).add_node("say", say).add_edge(START, "say").compile()
asking = StateGraph(State).add_node("ask", ask).add_edge(START, "ask").compile()
