"""Small runs per second with 32 waiting clients, compared with the bare graph."""

from __future__ import annotations

import asyncio
import time

from tests.bench import bare
from tests.bench.client import connections, wait_small
from tests.bench.figures import Figure
from tests.bench.setup import Bench

CLIENTS = 32


async def measure(bench: Bench) -> list[Figure]:
    each = bench.size(60, 2)
    async with connections(bench.url, CLIENTS) as clients:

        async def client(number: int) -> None:
            for _ in range(each):
                await wait_small(clients[number])

        started = time.perf_counter()
        await asyncio.gather(*map(client, range(CLIENTS)))
        rate = CLIENTS * each / (time.perf_counter() - started)
    bare_rate = await bare.small_runs_per_s(CLIENTS * each, CLIENTS)
    return [Figure("wait, 32 clients", rate, "runs/s", more_is_better=True, bare=bare_rate, goal_of_bare=0.6)]
