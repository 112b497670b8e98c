"""Graphs that return the config they receive, interrupt in two nodes at once, and loop."""

import operator
from typing import Annotated, Any, TypedDict

from langgraph.config import get_config
from langgraph.graph import END, START, StateGraph
from langgraph.runtime import Runtime
from langgraph.types import interrupt


class Context(TypedDict, total=False):
    """The context of `received_config`."""

    tone: str
    words: int


class ReceivedConfig(TypedDict, total=False):
    """Config and context that the node received."""

    context: dict[str, Any] | None
    configured: dict[str, Any]
    metadata: dict[str, Any]
    recursion_limit: int


def receive_config(state: ReceivedConfig, *, runtime: Runtime[Context]) -> ReceivedConfig:
    """Writes its config and its context to the state."""
    config = get_config()
    public = {name: value for name, value in config["configurable"].items() if not name.startswith("__")}
    return {
        "context": dict(runtime.context) if runtime.context else None,
        "configured": {name: value for name, value in public.items() if isinstance(value, str | int | dict)},
        "metadata": {name: value for name, value in config["metadata"].items() if isinstance(value, str | int)},
        "recursion_limit": config["recursion_limit"],
    }


class Answers(TypedDict, total=False):
    """The answers to both interrupts."""

    log: Annotated[list[str], operator.add]


def first(state: Answers) -> Answers:
    return {"log": [interrupt("first?")]}


def second(state: Answers) -> Answers:
    return {"log": [interrupt("second?")]}


class Rounds(TypedDict, total=False):
    """How many rounds are done, and how many to do (3)."""

    done: int
    rounds: int


def count(state: Rounds) -> Rounds:
    return {"done": state.get("done", 0) + 1}


def next_node(state: Rounds) -> str:
    return "count" if state["done"] < state.get("rounds", 3) else END


received_config = (
    StateGraph(ReceivedConfig, context_schema=Context)
    .add_node("receive_config", receive_config)
    .add_edge(START, "receive_config")
    .compile()
)
two_interrupts = (
    StateGraph(Answers)
    .add_node("first", first)
    .add_node("second", second)
    .add_edge(START, "first")
    .add_edge(START, "second")
    .compile()
)
rounds = (
    StateGraph(Rounds)
    .add_node("count", count)
    .add_edge(START, "count")
    .add_conditional_edges("count", next_node)
    .compile()
)
