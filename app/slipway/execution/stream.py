"""What a graph streams, chunk by chunk: LangGraph's own modes, and LangChain's events where they were asked for."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Any

from langchain_core.runnables import RunnableConfig
from langgraph.pregel import Pregel
from langgraph.runtime import RunControl

from slipway.execution.frames import CHECKPOINT_REFS, LIFECYCLE
from slipway.execution.message_ids import with_message_ids
from slipway.execution.run_input import context_of
from slipway.execution.transformers import stream_with_transformers
from slipway.graphs.run_context import context_arguments
from slipway.graphs.served_graphs import Graph
from slipway.runs.record import Run

StreamChunk = tuple[Sequence[str], str, Any]
"""Namespace (empty at the root), mode, payload."""

REQUIRED_MODES = frozenset({"tasks", "values"})
"""Modes that are wanted whatever clients asked for: ceilings hear of tasks, the thread's record of values."""


async def stream_graph(
    graph: Graph, run: Run, given: Any, config: RunnableConfig, modes: set[str], control: RunControl
) -> AsyncIterator[StreamChunk]:
    """Execute `graph` on the input `given`. Nothing of a superstep runs before its `tasks` chunks have been
    taken."""
    subgraphs = _streams_subgraphs(run)
    options = _options(graph, run, modes, control)
    if "messages" in modes:
        config = with_message_ids(config)
    if "events" in run.options.stream_mode:
        raw = _stream_langchain_events(graph, given, config, options)
    else:
        raw = graph.astream(given, config, **options)
    if CHECKPOINT_REFS in run.options.stream_mode and graph.stream_transformers:
        raw = stream_with_transformers(graph, raw)
    async for chunk in raw:
        if len(chunk) == 1:
            yield (), "events", chunk[0]
        elif subgraphs:
            yield chunk
        else:
            yield (), chunk[0], chunk[1]


def _options(graph: Graph, run: Run, modes: set[str], control: RunControl) -> dict[str, Any]:
    before, after = run.options.interrupt_before, run.options.interrupt_after
    breaks = before or after or _has_breakpoints(graph)
    return {
        "context": context_arguments(graph.context_schema, context_of(run)),
        # a breakpoint shows itself in updates alone
        "stream_mode": list(modes | REQUIRED_MODES | ({"updates"} if breaks else set())),
        "interrupt_before": before,
        "interrupt_after": after,
        # what the output schema leaves out is the graph's own business; the thread's state shows it
        "output_keys": graph.output_channels,
        "durability": run.options.durability or "async",
        "control": control,
        "subgraphs": _streams_subgraphs(run),
    }


def _has_breakpoints(graph: Graph, checked: frozenset[int] = frozenset()) -> bool:
    """Whether the graph, or a subgraph of it, was compiled with breakpoints. A graph may call itself."""
    if graph.interrupt_before_nodes or graph.interrupt_after_nodes:
        return True
    checked |= {id(graph.nodes)}  # a copy of a graph shares them
    inner = (subgraph for node in graph.nodes.values() for subgraph in node.subgraphs or ())
    return any(
        _has_breakpoints(subgraph, checked)
        for subgraph in inner
        if isinstance(subgraph, Pregel) and id(subgraph.nodes) not in checked
    )


def _streams_subgraphs(run: Run) -> bool:
    return bool(run.options.subgraphs) or LIFECYCLE in run.options.stream_mode


async def _stream_langchain_events(
    graph: Graph, given: Any, config: RunnableConfig, options: dict[str, Any]
) -> AsyncIterator[tuple[Any, ...]]:
    """LangChain's events; the stream_graph of the other modes are those that pass through the root."""
    root = None
    async for event in graph.astream_events(given, config, version="v2", **options):
        root = root or event["run_id"]
        if event["run_id"] == root and event["event"] == "on_chain_stream":
            yield event["data"]["chunk"]
        elif "langsmith:hidden" not in (event.get("tags") or ()):
            yield (event,)
