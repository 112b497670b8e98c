"""How many supersteps a second does one long run take, and 8 together, beside the bare graph?"""

from __future__ import annotations

import asyncio
import json
import time

from tests.bench import bare
from tests.bench.client import Connection, Refused, connections, new_thread, run_of
from tests.bench.figures import Figure
from tests.bench.setup import Bench


async def measure(bench: Bench) -> list[Figure]:
    """Supersteps a second, every one of them checkpointed and streamed."""
    figures = []
    for together, steps, goal in ((1, bench.size(2000, 50), 2000), (8, bench.size(1000, 20), 3000)):
        done = await rate(bench.url, together=together, steps=steps)
        beside = await bare.supersteps_per_s(steps, together)
        title = "supersteps, one run" if together == 1 else f"supersteps, {together} runs together"
        figures.append(Figure(title, done, "steps/s", goal=goal, more_is_better=True, beside=beside))
    return figures


async def rate(url: str, *, together: int, steps: int) -> float:
    """Supersteps a second of so many loops at once."""
    async with connections(url, together) as clients:
        began = time.perf_counter()
        await asyncio.gather(*(_loop(client, steps) for client in clients))
        return steps * together / (time.perf_counter() - began)


async def _loop(client: Connection, steps: int) -> None:
    request = run_of("loop", {"count": 0, "until": steps}, config={"recursion_limit": steps + 10})
    body = await client.post(f"{new_thread()}/runs/wait", request)
    if json.loads(body).get("count") != steps:
        raise Refused(f"unexpected outcome {body[:300]!r}")
