"""Graphs whose nodes log in every way, and graphs that fail in every way."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
import warnings
from concurrent.futures import ThreadPoolExecutor
from typing import Annotated, TypedDict

import structlog
from langgraph.graph import START, StateGraph
from langgraph.types import RetryPolicy

import slipway.tools

library = logging.getLogger("project")
log = structlog.get_logger("project")


def _later(before: str, after: str) -> str:
    return after


class State(TypedDict, total=False):
    how: Annotated[str, _later]
    wait_s: Annotated[float, _later]


@slipway.tools.tool(access="read")
async def look() -> str:
    """Looks."""
    library.warning("said in a tool")
    return "seen"


def plain(state: State) -> State:
    library.warning("said in a plain node", extra={"run": "forged"})
    warnings.warn("warned in a plain node", stacklevel=1)
    thread = threading.Thread(target=library.warning, args=("said in a thread",))
    thread.start()
    thread.join()
    with ThreadPoolExecutor(1) as pool:
        pool.submit(library.warning, "said in a pool").result()
    time.sleep(state.get("wait_s", 0))
    return {}


async def speak() -> None:
    library.warning("said in a task")


async def asynchronous(state: State) -> State:
    log.warning("said.asynchronously", anything=1)
    await asyncio.create_task(speak())
    await asyncio.to_thread(library.warning, "said in to_thread")
    await look()
    return {}


def inner(state: State) -> State:
    library.warning("said in a subgraph")
    return {}


_subgraph = StateGraph(State).add_node("inner", inner).add_edge(START, "inner").compile()

talks = (
    StateGraph(State)
    .add_node("plain", plain)
    .add_node("asynchronous", asynchronous)
    .add_node("outer", _subgraph)
    .add_edge(START, "plain")
    .add_edge("plain", "asynchronous")
    .add_edge("asynchronous", "outer")
    .compile()
)


async def first(state: State) -> State:
    match state["how"]:
        case "asynchronous":
            raise ValueError("it failed")
        case "plain":
            await asyncio.to_thread(_raise)
        case "caused":
            try:
                _raise()
            except ValueError as error:
                raise RuntimeError("it failed again") from error
        case "parallel":
            await asyncio.sleep(0.05)
            raise ValueError("it failed")
        case "task":
            await asyncio.create_task(_raise_later())
        case "thread":
            with ThreadPoolExecutor(1) as pool:
                pool.submit(_raise).result()
    return {}


def second(state: State) -> State:
    if state["how"] == "parallel":
        time.sleep(0.05)
        raise ValueError("it failed")
    return {}


def again(state: State) -> State:
    if state["how"] == "retries":
        raise ValueError("it failed")
    return {}


def inside(state: State) -> State:
    if state["how"] == "subgraph":
        raise ValueError("it failed")
    return {}


def _raise() -> None:
    raise ValueError("it failed")


async def _raise_later() -> None:
    await asyncio.sleep(0)
    _raise()


_failing = StateGraph(State).add_node("inside", inside).add_edge(START, "inside").compile()

fails = (
    StateGraph(State)
    .add_node("first", first)
    .add_node("second", second)
    .add_node("again", again, retry_policy=RetryPolicy(max_attempts=3, initial_interval=0.01, retry_on=ValueError))
    .add_node("outer", _failing)
    .add_edge(START, "first")
    .add_edge(START, "second")
    .add_edge(START, "again")
    .add_edge(START, "outer")
    .compile()
)
