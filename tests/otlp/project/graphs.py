"""Graphs whose spans are exported."""

from __future__ import annotations

import asyncio
import operator
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, TypedDict

from langchain_core.language_models import GenericFakeChatModel
from langchain_core.messages import AIMessage, AIMessageChunk
from langchain_core.outputs import ChatGenerationChunk, ChatResult
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


class Instrumented(GenericFakeChatModel):
    """Makes spans, as the HTTP client of a provider does."""

    def _generate(self, *arguments: Any, **options: Any) -> ChatResult:
        with trace.get_tracer("http").start_as_current_span("request of the model"):
            return super()._generate(*arguments, **options)

    def _stream(self, *arguments: Any, **options: Any) -> Iterator[ChatGenerationChunk]:
        with trace.get_tracer("http").start_as_current_span("request of the stream"):
            yield ChatGenerationChunk(message=AIMessageChunk(content="the answer"))


def instrumented() -> Instrumented:
    return Instrumented(messages=iter([AIMessage("the answer")]))


def _spans_of_node(name: str) -> None:
    with trace.get_tracer("project").start_as_current_span(name):
        pass


async def asks_models(state: State) -> dict[str, Any]:
    """Two at the same time, in its own context and in those of tasks."""
    await asyncio.gather(instrumented().ainvoke("one"), instrumented().ainvoke("two"))
    await instrumented().ainvoke("three")
    _spans_of_node("after the models")
    return {"log": ["asked"]}


def asks_in_thread(state: State) -> dict[str, Any]:
    instrumented().invoke("in a thread")
    _spans_of_node("after the model")
    return {"log": ["asked"]}


async def streams_model(state: State) -> dict[str, Any]:
    return {"log": [str(part.content) async for part in instrumented().astream("stream")]}


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
        return {"log": [carrier["traceparent"], carrier.get("tracestate", "")]}


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
instrumented_calls = _graph(asks=asks_models, in_thread=asks_in_thread, streams=streams_model)
