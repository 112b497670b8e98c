"""The same graphs without a server: `ainvoke` in this process, checkpoints in its memory. LangGraph's own price."""

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
    """Small runs, each on its own thread, `clients` at a time."""
    graph = graphs.small.compile(checkpointer=InMemorySaver())

    async def client() -> None:
        for _ in range(runs // clients):
            await graph.ainvoke({"text": "hello"}, _config())

    await graph.ainvoke({"text": "hello"}, _config())
    began = time.perf_counter()
    await asyncio.gather(*(client() for _ in range(clients)))
    return runs // clients * clients / (time.perf_counter() - began)


async def supersteps_per_s(steps: int, together: int) -> float:
    """Long loops, `together` at a time."""
    graph = graphs.loop.compile(checkpointer=InMemorySaver())
    began = time.perf_counter()
    given = graphs.Count(count=0, until=steps)
    await asyncio.gather(*(graph.ainvoke(given, _config(steps + 10)) for _ in range(together)))
    return steps * together / (time.perf_counter() - began)
