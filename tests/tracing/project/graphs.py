"""Graphs of each kind of work that has spans."""

from __future__ import annotations

import asyncio
import operator
import os
import threading
from collections import Counter, defaultdict
from pathlib import Path
from typing import Annotated, Any, TypedDict

from langchain_core.language_models import GenericFakeChatModel
from langchain_core.messages import AIMessage
from langchain_core.tools import tool
from langgraph.func import entrypoint, task
from langgraph.graph import START, StateGraph
from langgraph.types import RetryPolicy, Send, interrupt
from langgraph_sdk import get_client

from slipway.graphs.interface import Graph
from slipway.models import chat_model
from slipway.tools import tool as registered
from slipway.tracing.current_call import executing_span

tries: Counter[str] = Counter()
gates: defaultdict[str, asyncio.Event] = defaultdict(asyncio.Event)
"""By `file` of the state."""


class State(TypedDict, total=False):
    log: Annotated[list[str], operator.add]
    file: str


async def step(state: State) -> dict[str, Any]:
    return {"log": ["step"]}


def sync_step(state: State) -> dict[str, Any]:
    return {"log": [threading.current_thread().name]}


async def fails(state: State) -> dict[str, Any]:
    raise ValueError("the secret text of an exception")


async def fails_twice(state: State) -> dict[str, Any]:
    tries[state["file"]] += 1
    if tries[state["file"]] < 3:
        raise ConnectionError("not yet")
    return {"log": ["done"]}


async def fails_in_its_file(state: State) -> dict[str, Any]:
    """Fails until the file exists."""
    if not Path(state["file"]).exists():
        raise ConnectionError("not yet")
    return {"log": ["done"]}


async def asks(state: State) -> dict[str, Any]:
    return {"log": [interrupt("how much?")]}


async def waits(state: State) -> dict[str, Any]:
    await gates[state["file"]].wait()
    return {"log": ["waited"]}


async def sleeps(state: State) -> dict[str, Any]:
    """Says that it executes, then sleeps until its process is killed, unless an earlier attempt did."""
    file = Path(state["file"])
    if not file.exists():
        file.write_text(str(os.getpid()))
        await asyncio.sleep(600)
    return {"log": ["slept"]}


async def calls_model(state: State) -> dict[str, Any]:
    message = AIMessage(
        "yes",
        usage_metadata={"input_tokens": 7, "output_tokens": 3, "total_tokens": 10},
        response_metadata={"model_name": "fake-1", "finish_reason": "stop"},
    )
    await GenericFakeChatModel(messages=iter([message])).ainvoke("the prompt")
    return {"log": ["asked"]}


def calls_model_in_thread(state: State) -> dict[str, Any]:
    GenericFakeChatModel(messages=iter([AIMessage("yes")])).invoke("the prompt")
    return {"log": ["asked"]}


async def calls_route(state: State) -> dict[str, Any]:
    await chat_model().ainvoke("the prompt")
    return {"log": ["asked"]}


async def streams_route(state: State) -> dict[str, Any]:
    return {"log": [str(part.content) async for part in chat_model().astream("the prompt")]}


def calls_route_in_thread(state: State) -> dict[str, Any]:
    return {"log": [str(chat_model().invoke("the prompt").content)]}


def streams_route_in_thread(state: State) -> dict[str, Any]:
    return {"log": [str(part.content) for part in chat_model().stream("the prompt")]}


@tool
async def plain_tool(text: str) -> str:
    """A tool that is not registered."""
    return text.upper()


async def calls_plain_tool(state: State) -> dict[str, Any]:
    return {"log": [await plain_tool.ainvoke({"text": "argument-of-the-tool"})]}


def executing() -> str:
    """The kind of the span of the code that executes."""
    span = executing_span()
    return "" if span is None else str(span.kind)


@tool
async def tells(text: str) -> str:
    """Says in which span it executes."""
    return f"{text} {executing()}"


@tool
def tells_in_thread(text: str) -> str:
    """Says in which span it executes."""
    return f"{text} {executing()}"


async def asks_tools(state: State) -> dict[str, Any]:
    told = await asyncio.gather(tells.ainvoke({"text": "loop"}), tells_in_thread.ainvoke({"text": "thread"}))
    return {"log": [*told, executing()]}


def asks_tools_in_thread(state: State) -> dict[str, Any]:
    return {"log": [tells_in_thread.invoke({"text": "node"}), executing()]}


@registered(access="read")
async def look_up(text: str) -> str:
    """A tool that the gateway executes."""
    return f"found {text}"


@registered(access="read")
async def wait_in_tool(file: str) -> str:
    """Waits until the test opens a gate."""
    await gates[file].wait()
    return "done"


async def waits_in_tool(state: State) -> dict[str, Any]:
    return {"log": [await wait_in_tool(file=state["file"])]}


async def calls_tool(state: State) -> dict[str, Any]:
    return {"log": [await look_up(text="argument-of-the-tool")]}


async def starts_run(state: State) -> dict[str, Any]:
    client = get_client()
    thread = await client.threads.create()
    run: Any = await client.runs.create(thread["thread_id"], "one", input={})
    await client.runs.join(thread["thread_id"], run["run_id"])
    return {"log": [f"{thread['thread_id']} {run['run_id']}"]}


def _graph(**nodes: Any) -> Graph:
    builder, before = StateGraph(State), START
    for name, node in nodes.items():
        builder.add_node(name, node)
        builder.add_edge(before, name)
        before = name
    return builder.compile()


one = _graph(step=step)
three = _graph(first=step, second=sync_step, third=step)
nested = _graph(before=step, inside=_graph(inner=step, last=step))
failing = _graph(step=step, fails=fails)
waiting = _graph(step=step, waits=waits)
killed = _graph(step=step, sleeps=sleeps, asks=asks, last=step)
waits_and_asks = _graph(waits=waits, asks=asks)
starting = _graph(starts=starts_run)
asking = _graph(step=step, asks=asks, last=step)
models = _graph(asks=calls_model, asks_in_thread=calls_model_in_thread)
routes = _graph(asks=calls_route)
uncreated = _graph(
    asks=calls_route,
    streams=streams_route,
    asks_in_thread=calls_route_in_thread,
    streams_in_thread=streams_route_in_thread,
)
slow_tool = _graph(waits=waits_in_tool)
telling = _graph(first=asks_tools, second=asks_tools_in_thread)
tools = _graph(plain=calls_plain_tool, registered=calls_tool)

_retried = StateGraph(State)
_retried.add_node("retried", fails_twice, retry_policy=RetryPolicy(initial_interval=0.01, jitter=False))
_retried.add_edge(START, "retried")
retried = _retried.compile()

_pausing = StateGraph(State)
_pausing.add_node("fails", fails_in_its_file, retry_policy=RetryPolicy(initial_interval=0.01, jitter=False))
_pausing.add_edge(START, "fails")
pausing = _pausing.compile()

_parallel = StateGraph(State)
_parallel.add_node("each", step)
_parallel.add_conditional_edges(START, lambda state: [Send("each", {}) for _ in range(3)])
parallel = _parallel.compile()


@task
async def called(number: int) -> int:
    return number + 1


@entrypoint()
async def functional(input: dict[str, Any]) -> dict[str, Any]:
    return {"sum": sum(await asyncio.gather(called(1), called(2)))}


async def long_loop(state: State) -> dict[str, Any]:
    return {"log": ["x" * 10]}


_loop = StateGraph(State)
_loop.add_node("turn", long_loop)
_loop.add_edge(START, "turn")
_loop.add_conditional_edges("turn", lambda state: "turn" if len(state["log"]) < 200 else "__end__")
loop = _loop.compile()
