"""Graphs whose spans are exported."""

from __future__ import annotations

import asyncio
import operator
import os
from pathlib import Path
from typing import Annotated, Any, TypedDict

from langchain_core.language_models import GenericFakeChatModel
from langchain_core.messages import AIMessage
from langgraph.graph import START, StateGraph
from langgraph.types import interrupt
from langgraph_sdk import get_client
from opentelemetry import propagate, trace

from slipway.graphs.interface import Graph

CANARY = "canary-5f1d9c0b7a"


class State(TypedDict, total=False):
    log: Annotated[list[str], operator.add]
    file: str


async def step(state: State) -> dict[str, Any]:
    return {"log": ["step"]}


async def fails(state: State) -> dict[str, Any]:
    raise ValueError(f"the exception quotes {CANARY}")


async def thinks(state: State) -> dict[str, Any]:
    message = AIMessage(
        f"the answer {CANARY}",
        usage_metadata={"input_tokens": 7, "output_tokens": 3, "total_tokens": 10},
        response_metadata={"model_name": "fake-1", "finish_reason": "stop"},
    )
    await GenericFakeChatModel(messages=iter([message])).ainvoke(f"the prompt {CANARY}")
    return {"log": ["thought"]}


async def look_up(text: str) -> str:
    """A tool that langgraph.json names."""
    with trace.get_tracer("project").start_as_current_span("inside the tool"):
        return f"found {text}"


async def calls_tool(state: State) -> dict[str, Any]:
    return {"log": [await look_up(text=CANARY)]}


async def asks(state: State) -> dict[str, Any]:
    return {"log": [interrupt("how much?")]}


async def sleeps(state: State) -> dict[str, Any]:
    """Says that it executes, then sleeps until its process is killed, unless an earlier attempt did."""
    file = Path(state["file"])
    if not file.exists():
        file.write_text(str(os.getpid()))
        await asyncio.sleep(600)
    return {"log": ["slept"]}


def in_thread(state: State) -> dict[str, Any]:
    with trace.get_tracer("project").start_as_current_span("in a thread"):
        return {"log": ["thread"]}


async def in_loop(state: State) -> dict[str, Any]:
    with trace.get_tracer("project").start_as_current_span("in a node"):
        carrier: dict[str, str] = {}
        propagate.inject(carrier)
        return {"log": [carrier["traceparent"]]}


async def calls_api(state: State) -> dict[str, Any]:
    """Creates a run by the client of the own process."""
    client = get_client()
    created = await client.threads.create()
    run: Any = await client.runs.create(created["thread_id"], "one", input={})
    return {"log": [created["thread_id"], run["run_id"]]}


def _graph(**nodes: Any) -> Graph:
    builder, before = StateGraph(State), START
    for name, node in nodes.items():
        builder.add_node(name, node)
        builder.add_edge(before, name)
        before = name
    return builder.compile()


one = _graph(step=step)
two = _graph(first=step, second=step)
failing = _graph(fails=fails)
work = _graph(thinks=thinks, calls_tool=calls_tool)
asking = _graph(step=step, asks=asks, last=step)
killed = _graph(thinks=thinks, sleeps=sleeps, calls_tool=calls_tool, asks=asks, last=step)
spans = _graph(in_loop=in_loop, in_thread=in_thread)
calls = _graph(calls_api=calls_api)
