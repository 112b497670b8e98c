"""Graphs whose effects are counted outside the server, so that tests notice repeated work.

A node appends a line to the file named by `EFFECTS` when it begins and when it is done; `effects.py` reads the file.
Importing this module takes `IMPORT_S` seconds if the variable is set.
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
    """`upto` supersteps of `pause_s` seconds each. `how` is wait, block (the event loop), burn (the processor), or hold
    (wait for the file `until`). With `until` and another `how`, supersteps follow each other until the file exists."""

    upto: int
    until: str
    pause_s: float
    how: str
    count: int
    trail: Annotated[list[int], add]


def effect(config: RunnableConfig, event: str, task: str) -> None:
    """Appends one line in one write."""
    metadata: dict[str, Any] = config["metadata"]
    line = {
        "run": metadata["run_id"],
        "attempt": metadata["run_attempt"],
        "step": metadata["langgraph_step"],
        "task": task,
        "event": event,
        "pid": os.getpid(),
        "at": time.time(),
    }
    descriptor = os.open(os.environ["EFFECTS"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    try:
        os.write(descriptor, json.dumps(line).encode() + b"\n")
    finally:
        os.close(descriptor)


async def spend(how: str, seconds: float) -> None:
    """Wait without blocking, block the event loop, or keep the processor busy."""
    if how == "block":
        time.sleep(seconds)
    elif how == "burn":
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            sum(range(1000))
    else:
        await asyncio.sleep(seconds)


async def wait_for_file(file: str) -> None:
    while not Path(file).exists():  # noqa: ASYNC110
        await asyncio.sleep(0.02)


async def work(state: Steps, config: RunnableConfig) -> Steps:
    effect(config, "begin", "work")
    await spend(state.get("how", "wait"), state.get("pause_s", 0.02))
    if state.get("how") == "hold":
        await wait_for_file(state["until"])
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
    """Each part takes a number of seconds, or until a file exists."""

    parts: list[float | str]
    done: Annotated[list[int], add]


class Part(TypedDict):
    number: int
    takes: float | str


def scatter(state: Fan) -> list[Send]:
    return [Send("part", {"number": number, "takes": takes}) for number, takes in enumerate(state["parts"])]


async def part(state: Part, config: RunnableConfig) -> Fan:
    effect(config, "begin", f"part {state['number']}")
    takes = state["takes"]
    await (wait_for_file(takes) if isinstance(takes, str) else asyncio.sleep(takes))
    effect(config, "done", f"part {state['number']}")
    return {"done": [state["number"]]}


async def gather(state: Fan, config: RunnableConfig) -> Fan:
    effect(config, "begin", "gather")
    effect(config, "done", "gather")
    return {}


def _fan() -> StateGraph[Any]:
    graph = StateGraph(Fan)
    graph.add_node("part", part)
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
    """The answers of two nodes, with two interrupts each."""

    answers: Annotated[list[str], add]


async def talk(state: Talk, config: RunnableConfig) -> Talk:
    effect(config, "begin", "talk")
    answers = [str(interrupt("first?")), str(interrupt("second?"))]
    effect(config, "done", "talk")
    return {"answers": answers}


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


async def kill_worker_once(state: Steps, config: RunnableConfig) -> Steps:
    """Kills its process before anything else of it executes, unless the file exists."""
    effect(config, "begin", "kill_worker_once")
    file = Path(state["until"])
    if not file.exists():
        file.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return {}


def _dies_once() -> StateGraph[Any]:
    graph = StateGraph(Steps).add_node("work", work).add_node("kill_worker_once", kill_worker_once)
    return graph.add_edge(START, "work").add_edge("work", "kill_worker_once")


dies_once = _dies_once().compile()


class Moving(TypedDict, total=False):
    log: Annotated[list[str], add]
    item: str


def _moving(version: str, name: str) -> Any:
    """Two items are asked about at the same time, beside a node that ends at once. `name` is the node that asks."""

    def node(task: str) -> Any:
        async def done(state: Moving, config: RunnableConfig) -> Moving:
            effect(config, "done", task)
            return {"log": [f"{task}@{version}"]}

        return done

    async def ask(state: Moving, config: RunnableConfig) -> Moving:
        answer = interrupt(state["item"])
        effect(config, "done", f"ask {state['item']}")
        return {"log": [f"{state['item']}:{answer}@{version}"]}

    def items(state: Moving) -> list[Send]:
        return [Send(name, {"item": "a"}), Send(name, {"item": "b"}), Send("quick", {})]

    graph = StateGraph(Moving).add_node("plan", node("plan")).add_node(name, ask).add_node("quick", node("quick"))
    graph.add_node("last", node("last")).add_edge(START, "plan").add_edge(name, "last").add_edge("quick", "last")
    return graph.add_conditional_edges("plan", items, [name, "quick"]).compile()


moving_1 = _moving("1", "item")
moving_2 = _moving("2", "line")
