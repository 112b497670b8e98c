"""The same graphs without a server: `ainvoke` in this process, checkpoints in its memory. This is the cost of LangGraph
itself."""

from __future__ import annotations

import asyncio
import time
import uuid

from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.memory import InMemorySaver

from tests.bench import graphs


def _config(recursion_limit: int = 25) -> RunnableConfig:
    return {"configurable": {"thread_id": str(uuid.uuid4())}, "recursion_limit": recursion_limit}


async def small_runs_per_s(runs: int, clients: int) -> float:
    """Small runs, each on its own thread, `clients` concurrently."""
    graph = graphs.small.compile(checkpointer=InMemorySaver())

    async def client() -> None:
        for _ in range(runs // clients):
            await graph.ainvoke({"text": "hello"}, _config())

    await graph.ainvoke({"text": "hello"}, _config())
    started = time.perf_counter()
    await asyncio.gather(*(client() for _ in range(clients)))
    return runs // clients * clients / (time.perf_counter() - started)


async def supersteps_per_s(steps: int, together: int) -> float:
    """Long loops, `together` concurrently."""
    graph = graphs.loop.compile(checkpointer=InMemorySaver())
    started = time.perf_counter()
    graph_input = graphs.Count(count=0, until=steps)
    await asyncio.gather(*(graph.ainvoke(graph_input, _config(steps + 10)) for _ in range(together)))
    return steps * together / (time.perf_counter() - started)
