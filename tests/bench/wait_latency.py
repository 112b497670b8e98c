"""Latency of small runs for one client that waits: one run after the other, and with random pauses on an idle server.

The pauses are random, so that polling anywhere would add half its interval.
"""

from __future__ import annotations

import asyncio
import random
import time

from tests.bench import bare
from tests.bench.client import Connection, connections, wait_small
from tests.bench.figures import Figure, percentile
from tests.bench.setup import Bench


async def measure(bench: Bench) -> list[Figure]:
    async with connections(bench.url, 1) as (client,):
        busy = [await _run_ms(client) for _ in range(bench.size(500, 20))]
        idle = []
        for _ in range(bench.size(60, 4)):
            await asyncio.sleep(random.uniform(0.02, 0.3))
            idle.append(await _run_ms(client))
    bare_ms = 1000 / await bare.small_runs_per_s(bench.size(500, 20), 1)
    return [
        Figure("wait, 1 client, p50", percentile(busy, 50), "ms", goal=3, bare=bare_ms),
        Figure("wait, 1 client, p99", percentile(busy, 99), "ms"),
        Figure("wait, idle server, random pauses, p50", percentile(idle, 50), "ms", goal=4.5),
        Figure("wait, idle server, random pauses, p99", percentile(idle, 99), "ms"),
    ]


async def _run_ms(client: Connection) -> float:
    started = time.perf_counter()
    await wait_small(client)
    return (time.perf_counter() - started) * 1000
