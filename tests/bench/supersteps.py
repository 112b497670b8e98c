"""Supersteps per second of one long run and of 8 concurrent runs, compared with the bare graph."""

from __future__ import annotations

import asyncio
import json
import time
from typing import Final

from tests.bench import bare
from tests.bench.client import Connection, RequestFailed, connections, new_thread, run_of
from tests.bench.figures import Figure
from tests.bench.setup import Bench

GOAL_OF_BARE: Final = 0.85


async def measure(bench: Bench) -> list[Figure]:
    """Each superstep has a checkpoint and is streamed."""
    figures = []
    for together, steps in ((1, bench.size(2000, 50)), (8, bench.size(1000, 20))):
        measured = await rate(bench.url, together=together, steps=steps)
        bare_rate = await bare.supersteps_per_s(steps, together)
        title = "supersteps, one run" if together == 1 else f"supersteps, {together} runs together"
        figures.append(
            Figure(title, measured, "steps/s", more_is_better=True, bare=bare_rate, goal_of_bare=GOAL_OF_BARE)
        )
    return figures


async def rate(url: str, *, together: int, steps: int) -> float:
    """Supersteps per second of `together` concurrent loops."""
    async with connections(url, together) as clients:
        started = time.perf_counter()
        await asyncio.gather(*(_loop(client, steps) for client in clients))
        return steps * together / (time.perf_counter() - started)


async def _loop(client: Connection, steps: int) -> None:
    request = run_of("loop", {"count": 0, "until": steps}, config={"recursion_limit": steps + 10})
    body = await client.post(f"{new_thread()}/runs/wait", request)
    if json.loads(body).get("count") != steps:
        raise RequestFailed(f"unexpected result {body[:300]!r}")
