"""The stream transformers that a graph was compiled with, beside the ordinary stream.

LangGraph runs them in its own event protocol alone, which owns the stream, its modes and its end. Here they see what
the ordinary stream brings, and what they push into channels that have a name comes out as `custom:<name>`.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Sequence
from typing import Any, Final

from slipway.graphs.served_graphs import Graph

NAMED: Final = "custom:"

Chunk = tuple[Sequence[str], str, Any]


async def stream_with_transformers(graph: Graph, raw: AsyncIterator[Chunk]) -> AsyncIterator[Chunk]:
    """The chunks of `raw`, each after what the graph's transformers made of it. An error of theirs is the graph's."""
    from langgraph.stream._mux import StreamMux  # LangGraph keeps it to itself: only graphs that need it depend on it

    mux = StreamMux(factories=list(graph.stream_transformers), is_async=True)
    made = mux._events
    aiter(made)  # a channel keeps nothing before somebody has come for it
    try:
        async for namespace, mode, payload in raw:
            params: Any = {"namespace": list(namespace), "timestamp": int(time.time() * 1000), "data": payload}
            await mux.apush({"type": "event", "method": mode, "params": params})
            for chunk in _custom_events(made):
                yield chunk
            yield namespace, mode, payload
        await mux.aclose()
    except BaseException as error:
        await mux.afail(error)
        raise
    for chunk in _custom_events(made):
        yield chunk


def _custom_events(made: Any) -> list[Chunk]:
    """What channels with a name have got since the last time."""
    events = [event for _, event in made._items]
    made._items.clear()
    return [((), event["method"], event["params"]["data"]) for event in events if event["method"].startswith(NAMED)]
