"""Executes a graph and yields its chunks: those of LangGraph's stream modes, LangChain's events if they were requested,
and the output of the graph's stream transformers."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Sequence
from typing import Any, Final

from langchain_core.runnables import RunnableConfig
from langgraph.pregel import Pregel
from langgraph.runtime import RunControl

from slipway.execution.frames import CHECKPOINT_REFS, CUSTOM_PREFIX, LIFECYCLE
from slipway.execution.message_ids import with_message_ids
from slipway.execution.run_input import context_of
from slipway.graphs.interface import Graph
from slipway.graphs.run_context import context_arguments
from slipway.runs.record import Run

StreamChunk = tuple[Sequence[str], str, Any]
"""Namespace (empty for the root graph), mode and payload."""

REQUIRED_MODES: Final = frozenset({"tasks", "values"})
"""Modes that are always streamed, whichever modes clients requested: ceilings are counted by `tasks`, and the record of
the thread contains the last `values`."""


def nodes_wait(run: Run) -> bool:
    """Whether the nodes of a superstep wait until the consumer of `stream_graph` has received what came before.
    LangChain's events arrive through a queue, which is filled while the consumer is slow."""
    return "events" not in run.options.stream_mode


def stream_graph(
    graph: Graph, run: Run, input_: Any, config: RunnableConfig, modes: set[str], control: RunControl
) -> AsyncIterator[Sequence[Any]]:
    """Executes `graph` and yields its chunks, which `complete` converts. The nodes of a superstep are executed only
    after the consumer has received the `tasks` chunks that announce them, if `nodes_wait`."""
    options = _options(graph, run, modes, control)
    if "messages" in modes:
        config = with_message_ids(config)
    if "events" in run.options.stream_mode:
        raw = _stream_langchain_events(graph, input_, config, options)
    else:
        raw = graph.astream(input_, config, **options)
    if CHECKPOINT_REFS in run.options.stream_mode and graph.stream_transformers:
        raw = stream_with_transformers(graph, raw)
    return raw


def complete(chunk: Sequence[Any]) -> StreamChunk:
    """A chunk of `stream_graph` with its namespace. LangGraph omits the namespace of the root graph where it streams no
    subgraphs, and an event of LangChain is alone."""
    match len(chunk):
        case 2:
            return (), chunk[0], chunk[1]
        case 1:
            return (), "events", chunk[0]
        case _:
            return chunk[0], chunk[1], chunk[2]


def _options(graph: Graph, run: Run, modes: set[str], control: RunControl) -> dict[str, Any]:
    before, after = run.options.interrupt_before, run.options.interrupt_after
    breaks = before or after or _has_breakpoints(graph)
    return {
        "context": context_arguments(graph.context_schema, context_of(run)),
        # only the mode `updates` contains breakpoints
        "stream_mode": list(modes | REQUIRED_MODES | ({"updates"} if breaks else set())),
        "interrupt_before": before,
        "interrupt_after": after,
        # the stream has only the channels of the output schema; the record of the thread has all channels
        "output_keys": graph.output_channels,
        # the writer waits for the replicas before a superstep, as it does otherwise for Redis
        "durability": "async" if run.options.is_replicated else run.options.durability,
        "control": control,
        "subgraphs": streams_subgraphs(run),
    }


def _has_breakpoints(graph: Graph, checked: frozenset[int] = frozenset()) -> bool:
    """Whether the graph or one of its subgraphs was compiled with breakpoints. A graph may contain itself, so graphs
    whose nodes are in `checked` (by `id()`) are skipped."""
    if graph.interrupt_before_nodes or graph.interrupt_after_nodes:
        return True
    checked |= {id(graph.nodes)}  # copies of a graph share their nodes
    subgraphs = (subgraph for node in graph.nodes.values() for subgraph in node.subgraphs or ())
    return any(
        _has_breakpoints(subgraph, checked)
        for subgraph in subgraphs
        if isinstance(subgraph, Pregel) and id(subgraph.nodes) not in checked
    )


def streams_subgraphs(run: Run) -> bool:
    """Whether the chunks of subgraphs are streamed."""
    return run.options.subgraphs or LIFECYCLE in run.options.stream_mode


async def _stream_langchain_events(
    graph: Graph, input_: Any, config: RunnableConfig, options: dict[str, Any]
) -> AsyncIterator[tuple[Any, ...]]:
    """Yields each of LangChain's events as a tuple with one member. The chunks of the other modes arrive as events of
    the root run, and are yielded unchanged."""
    root = None
    async for event in graph.astream_events(input_, config, version="v2", **options):
        root = root or event["run_id"]
        if event["run_id"] == root and event["event"] == "on_chain_stream":
            yield event["data"]["chunk"]
        elif "langsmith:hidden" not in (event.get("tags") or ()):
            yield (event,)


async def stream_with_transformers(graph: Graph, raw: AsyncIterator[StreamChunk]) -> AsyncIterator[StreamChunk]:
    """Yields the chunks of `raw`. Before each chunk, yields what the graph's stream transformers pushed to named
    channels when they received it.

    LangGraph runs stream transformers only in its own event protocol, which controls the stream, its modes and its end.
    Here they receive the ordinary stream. An exception of a transformer fails the graph."""
    from langgraph.stream._mux import StreamMux  # private in LangGraph; only graphs with transformers need it

    mux = StreamMux(factories=list(graph.stream_transformers), is_async=True)
    channel = mux._events
    aiter(channel)  # a channel stores nothing before it is iterated
    try:
        async for namespace, mode, payload in raw:
            params: Any = {"namespace": list(namespace), "timestamp": int(time.time() * 1000), "data": payload}
            await mux.apush({"type": "event", "method": mode, "params": params})
            for chunk in _remove_custom_events(channel):
                yield chunk
            yield namespace, mode, payload
        await mux.aclose()
    except BaseException as error:
        await mux.afail(error)
        raise
    for chunk in _remove_custom_events(channel):
        yield chunk


def _remove_custom_events(channel: Any) -> list[StreamChunk]:
    """Removes all events from the channel and returns those of named channels."""
    events = [event for _, event in channel._items if event["method"].startswith(CUSTOM_PREFIX)]
    channel._items.clear()
    return [((), event["method"], event["params"]["data"]) for event in events]
