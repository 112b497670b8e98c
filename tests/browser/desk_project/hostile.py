"""A graph that asks with texts which a page must not render as HTML."""

from __future__ import annotations

from typing import Any

from langgraph.graph import START, StateGraph
from langgraph.types import interrupt
from typing_extensions import TypedDict

HOSTILE = '<img src=x onerror="window.pwned=1"></script><script>window.pwned=1</script>'


class State(TypedDict, total=False):
    """The answer."""

    answer: Any


async def ask(state: State) -> State:
    request = {"name": HOSTILE, "args": {HOSTILE: HOSTILE, "__proto__": HOSTILE}, "description": HOSTILE}
    config = {"action_name": HOSTILE, "allowed_decisions": ["approve", "edit", "reject", "respond"]}
    return {"answer": interrupt({"action_requests": [request], "review_configs": [config]})}


hostile = StateGraph(State).add_node("ask", ask).add_edge(START, "ask").compile()
