"""Graphs whose every effect is counted outside the server, so that what was done twice can be counted.

A node writes a line to the file that `EFFECTS` names when it begins and when it is done: `effects.py` reads them.
Importing this takes `IMPORT_S` seconds, where that is set.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import time
from operator import add
from pathlib import Path
from typing import Annotated, Any, TypedDict

from langchain_core.runnables import RunnableConfig
from langgraph.graph import END, START, StateGraph
from langgraph.types import Send, interrupt

time.sleep(float(os.environ.get("IMPORT_S", "0")))


class Steps(TypedDict, total=False):
    """`upto` supersteps of `pause_s` seconds each, spent in the manner of `how`: wait, block, burn, or hold, which
    waits for the file `until`. Otherwise, with `until`, there is one superstep after the other until it is there."""

    upto: int
    until: str
    pause_s: float
    how: str
    count: int
    trail: Annotated[list[int], add]


def effect(config: RunnableConfig, what: str, task: str) -> None:
    """One line, appended whole."""
    facts: dict[str, Any] = config["metadata"]
    line = {
        "run": facts["run_id"],
        "attempt": facts["run_attempt"],
        "step": facts["langgraph_step"],
        "task": task,
        "what": what,
        "pid": os.getpid(),
        "at": time.time(),
    }
    descriptor = os.open(os.environ["EFFECTS"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    try:
        os.write(descriptor, json.dumps(line).encode() + b"\n")
    finally:
        os.close(descriptor)


async def spend(how: str, seconds: float) -> None:
    """Let time pass: politely, with the event loop blocked, or with the processor busy."""
    if how == "block":
        time.sleep(seconds)
    elif how == "burn":
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            sum(range(1000))
    else:
        await asyncio.sleep(seconds)


async def there(file: str) -> None:
    """Return once this file is there."""
    while not Path(file).exists():  # noqa: ASYNC110
        await asyncio.sleep(0.02)


async def work(state: Steps, config: RunnableConfig) -> Steps:
    effect(config, "begin", "work")
    await spend(state.get("how", "wait"), state.get("pause_s", 0.02))
    if state.get("how") == "hold":
        await there(state["until"])
    count = state.get("count", 0) + 1
    effect(config, "done", "work")
    return {"count": count, "trail": [count]}


def more(state: Steps) -> str:
    if "until" in state and state.get("how") != "hold":
        return END if Path(state["until"]).exists() else "work"
    return "work" if state["count"] < state["upto"] else END


def _steps() -> StateGraph[Any]:
    graph = StateGraph(Steps)
    graph.add_node("work", work)
    graph.add_edge(START, "work")
    graph.add_conditional_edges("work", more, ["work", END])
    return graph


steps = _steps().compile()


class Fan(TypedDict, total=False):
    """One part a number: how many seconds it takes. Or a file: it takes until that is there."""

    parts: list[float | str]
    done: Annotated[list[int], add]


class Part(TypedDict):
    number: int
    takes: float | str


def scatter(state: Fan) -> list[Send]:
    return [Send("part", {"number": number, "takes": takes}) for number, takes in enumerate(state["parts"])]


async def part(given: Part, config: RunnableConfig) -> Fan:
    effect(config, "begin", f"part {given['number']}")
    takes = given["takes"]
    await (there(takes) if isinstance(takes, str) else asyncio.sleep(takes))
    effect(config, "done", f"part {given['number']}")
    return {"done": [given["number"]]}


async def gather(state: Fan, config: RunnableConfig) -> Fan:
    effect(config, "begin", "gather")
    effect(config, "done", "gather")
    return {}


def _fan() -> StateGraph[Any]:
    graph = StateGraph(Fan)
    graph.add_node("part", part)  # type: ignore[arg-type]
    graph.add_node("gather", gather)
    graph.add_conditional_edges(START, scatter, ["part"])
    graph.add_edge("part", "gather")
    return graph


fan = _fan().compile()


async def ask(state: Steps, config: RunnableConfig) -> Steps:
    effect(config, "begin", "ask")
    answer = interrupt({"count": state["count"]})
    effect(config, "done", "ask")
    return {"trail": [int(answer)]}


def _asks() -> StateGraph[Any]:
    graph = StateGraph(Steps)
    graph.add_node("work", work)
    graph.add_node("ask", ask)
    graph.add_edge(START, "work")
    graph.add_edge("work", "ask")
    return graph


asks = _asks().compile()


class Talk(TypedDict, total=False):
    """What each of two said to each of two questions."""

    said: Annotated[list[str], add]


async def talk(state: Talk, config: RunnableConfig) -> Talk:
    effect(config, "begin", "talk")
    said = [str(interrupt("first?")), str(interrupt("second?"))]
    effect(config, "done", "talk")
    return {"said": said}


def _talks() -> StateGraph[Any]:
    graph = StateGraph(Talk)
    for name in ("left", "right"):
        graph.add_node(name, talk)
        graph.add_edge(START, name)
    return graph


talks = _talks().compile()


async def broken(state: Steps, config: RunnableConfig) -> Steps:
    effect(config, "begin", "broken")
    raise RuntimeError("this node always fails")


def _fails() -> StateGraph[Any]:
    graph = StateGraph(Steps)
    graph.add_node("work", work)
    graph.add_node("broken", broken)
    graph.add_edge(START, "work")
    graph.add_edge("work", "broken")
    return graph


fails = _fails().compile()


async def kill_worker(state: Steps, config: RunnableConfig) -> Steps:
    effect(config, "begin", "kill_worker")
    os.kill(os.getpid(), signal.SIGKILL)
    return {}


def _poison() -> StateGraph[Any]:
    graph = StateGraph(Steps)
    graph.add_node("kill_worker", kill_worker)
    graph.add_edge(START, "kill_worker")
    return graph


poison = _poison().compile()
