"""Graphs that put what they get everywhere: into the state, the store, a tool, a question, an error."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypedDict

from langgraph.config import get_store, get_stream_writer
from langgraph.graph import START, StateGraph
from langgraph.types import interrupt

import slipway.tools


class State(TypedDict, total=False):
    """What was put in, and what came out."""

    text: str
    large: list[str]
    answer: Any
    sent: str


async def embed(texts: Sequence[str]) -> list[list[float]]:
    """A vector of the length of each text."""
    return [[float(len(text)), 1.0] for text in texts]


@slipway.tools.tool(access="write", approval="always")
async def send(text: str) -> str:
    """Send a text."""
    return f"sent {text}"


async def keep(state: State) -> State:
    get_stream_writer()({"progress": state["text"]})
    await get_store().aput(("notes", "all"), "one", {"text": state["text"], "more": state["text"] * 200})
    return {"large": [f"{number} {state['text']}" for number in range(200)]}


async def ask(state: State) -> State:
    return {"answer": interrupt({"question": state["text"]})}


async def act(state: State) -> State:
    return {"sent": await send(state["text"])}


def fail(state: State) -> State:
    raise ValueError(f"cannot do {state['text']}")


async def wait(state: State) -> State:
    return {"answer": interrupt(f"what about {state['text']}?")}


def _graph(*nodes: Any) -> Any:
    graph, before = StateGraph(State), START
    for node in nodes:
        graph.add_node(node.__name__, node)
        graph.add_edge(before, node.__name__)
        before = node.__name__
    return graph.compile()


secrets = _graph(keep, ask, act)
fails = _graph(fail)
waits = _graph(wait)
