"""The measured graphs. Their nodes do almost nothing, so the figures show the cost of executing them."""

from __future__ import annotations

import asyncio
import time
from typing import Literal

from langgraph.config import get_stream_writer
from langgraph.graph import END, START, StateGraph
from typing_extensions import TypedDict


class Note(TypedDict, total=False):
    """State of `small`."""

    text: str


class Count(TypedDict):
    """State of `loop`: the current count, and the count at which it ends."""

    count: int
    until: int


class Ticks(TypedDict, total=False):
    """Input of `ticker`: seconds before the first tick, seconds between ticks, number of ticks, and what each tick
    contains."""

    wait_s: float
    pause_s: float
    ticks: int
    text: str


async def answer(state: Note) -> Note:
    """Appends one character."""
    return {"text": state.get("text", "") + "!"}


async def add(state: Count) -> dict[str, int]:
    """Adds 1."""
    return {"count": state["count"] + 1}


async def next_node(state: Count) -> Literal["add", "__end__"]:
    """Loops until the count is reached. It is async because LangGraph calls a plain function in a thread each time."""
    return "add" if state["count"] < state["until"] else "__end__"


async def tick(state: Ticks) -> Ticks:
    """Writes custom events with their time, on the monotonic clock that all processes of a machine share."""
    writer = get_stream_writer()
    await asyncio.sleep(state.get("wait_s", 0))
    due = time.monotonic()
    for number in range(state.get("ticks", 1)):
        await asyncio.sleep(max(0, due - time.monotonic()))
        writer({"tick": number, "at": time.monotonic(), "text": state.get("text", "")})
        due += state.get("pause_s", 0.02)
    return {}


class Sleep(TypedDict, total=False):
    """State of `sleeper`: seconds to wait, as for a model."""

    for_s: float


async def sleep(state: Sleep) -> Sleep:
    """Waits."""
    await asyncio.sleep(state.get("for_s", 1))
    return {}


small = StateGraph(Note).add_node("answer", answer).add_edge(START, "answer").add_edge("answer", END)
loop = StateGraph(Count).add_node("add", add).add_edge(START, "add").add_conditional_edges("add", next_node)
ticker = StateGraph(Ticks).add_node("tick", tick).add_edge(START, "tick").add_edge("tick", END)
sleeper = StateGraph(Sleep).add_node("sleep", sleep).add_edge(START, "sleep").add_edge("sleep", END)
