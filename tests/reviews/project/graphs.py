"""Graphs that ask: one question, two at once, about a call, and with a schema."""

from __future__ import annotations

from typing import Annotated, Any, TypedDict

from langgraph.graph import END, START, StateGraph
from langgraph.types import interrupt

from slipway.runs.current_attempt import CURRENT_ATTEMPT
from slipway.runs.review_arguments import question_digest


def added(earlier: list[Any], later: list[Any]) -> list[Any]:
    return [*earlier, *later]


class State(TypedDict):
    """What was asked and answered."""

    answers: Annotated[list[Any], added]


def asking(question: Any, schema: dict[str, Any] | None = None) -> Any:
    """A node that asks, and adds the answer."""

    def ask(state: State) -> dict[str, Any]:
        answer = interrupt(question) if schema is None else interrupt(question, response_schema=schema)
        return {"answers": [answer]}

    return ask


def graph_of(*nodes: tuple[str, Any]) -> Any:
    """A graph whose nodes run beside each other."""
    graph = StateGraph(State)
    for name, node in nodes:
        graph.add_node(name, node)
        graph.add_edge(START, name)
        graph.add_edge(name, END)
    return graph.compile()


CALL = {
    "type": "tool_approval",
    "tool_call_id": "c1",
    "name": "refund",
    "args": {"amount": 50},
    "description": "Refund 50",
    "response_schema": {
        "type": "object",
        "properties": {"type": {"enum": ["approve", "edit", "reject"]}},
        "required": ["type"],
    },
    "slipway": {"call": "call-1", "hash": "hash-1", "quorum": 2},
}


def ask_as_the_gateway(state: State) -> dict[str, Any]:
    """A node that asks about a call, as the tool gateway does."""
    attempt = CURRENT_ATTEMPT.get()
    assert attempt is not None
    attempt.gateway_questions.add(question_digest(CALL))
    answered: dict[str, Any] = asking(CALL)(state)
    return answered


AMOUNT = {"type": "object", "properties": {"amount": {"type": "integer", "minimum": 1}}, "required": ["amount"]}

one = graph_of(("ask", asking("What is your name?")))
two = graph_of(("first", asking("One?")), ("second", asking("Two?")))
call = graph_of(("ask", ask_as_the_gateway))
forged = graph_of(("ask", asking(CALL)))
large = graph_of(("ask", asking({"action_requests": [{"name": "pay", "args": {"account": 2**60}}]})))
schema = graph_of(("ask", asking("How much?", AMOUNT)))
guarded = graph_of(("ask", asking("Really?")))
timed = graph_of(("ask", asking("Who?")))
cancelled = graph_of(("ask", asking("Who?")))
