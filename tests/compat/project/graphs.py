"""Graphs that show what they were given, ask twice at once, and go round."""

import operator
from typing import Annotated, Any, TypedDict

from langgraph.config import get_config
from langgraph.graph import END, START, StateGraph
from langgraph.runtime import Runtime
from langgraph.types import interrupt


class Context(TypedDict, total=False):
    """What `told` takes."""

    tone: str
    words: int


class Told(TypedDict, total=False):
    """What `told` found."""

    context: dict[str, Any] | None
    settings: dict[str, Any]
    metadata: dict[str, Any]
    recursion_limit: int


def tell(state: Told, *, runtime: Runtime[Context]) -> Told:
    """Writes its config and context into the state."""
    config = get_config()
    plain = {name: value for name, value in config["configurable"].items() if not name.startswith("__")}
    return {
        "context": dict(runtime.context) if runtime.context else None,
        "settings": {name: value for name, value in plain.items() if isinstance(value, str | int | dict)},
        "metadata": {name: value for name, value in config["metadata"].items() if isinstance(value, str | int)},
        "recursion_limit": config["recursion_limit"],
    }


class Answers(TypedDict, total=False):
    """What people said."""

    log: Annotated[list[str], operator.add]


def first(state: Answers) -> Answers:
    """Asks."""
    return {"log": [interrupt("first?")]}


def second(state: Answers) -> Answers:
    """Asks too."""
    return {"log": [interrupt("second?")]}


class Turns(TypedDict, total=False):
    """How often it went round."""

    turn: int
    turns: int


def turn(state: Turns) -> Turns:
    """Once more."""
    return {"turn": state.get("turn", 0) + 1}


def go_on(state: Turns) -> str:
    """Until it was round often enough."""
    return "turn" if state["turn"] < state.get("turns", 3) else END


told = StateGraph(Told, context_schema=Context).add_node("tell", tell).add_edge(START, "tell").compile()
two_questions = (
    StateGraph(Answers)
    .add_node("first", first)
    .add_node("second", second)
    .add_edge(START, "first")
    .add_edge(START, "second")
    .compile()
)
turns = StateGraph(Turns).add_node("turn", turn).add_edge(START, "turn").add_conditional_edges("turn", go_on).compile()
