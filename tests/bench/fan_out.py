"""How late are events at 200 clients that watch one run?

The run says when it made each event; the clients' process reads the same clock. A client that was not there for
an event counts as missing, and any at all fails the benchmark.
"""

from __future__ import annotations

import asyncio
import json
import re
import time

from tests.bench.client import Connection, Refused, connections, new_thread, run_of
from tests.bench.figures import Figure, percentile
from tests.bench.setup import Bench

CLIENTS = 200
PAUSE_S = 0.02
_MADE = re.compile(rb'"at":([0-9.]+)')


async def measure(bench: Bench) -> list[Figure]:
    """Lag p50 and p99, over all clients and events."""
    clients, ticks = bench.size(CLIENTS, 20), bench.size(150, 20)
    async with connections(bench.url, clients) as opened:
        given = {"wait_s": 1.0, "pause_s": PAUSE_S, "ticks": ticks}
        thread = new_thread()
        run = json.loads(await opened[0].post(f"{thread}/runs", run_of("ticker", given, stream_mode=["custom"])))
        place = f"{thread}/runs/{run['run_id']}/stream?stream_mode=custom"
        heard = await asyncio.gather(*(_watch(client, place) for client in opened))
    if any(len(lags) != ticks for lags in heard):
        raise Refused(f"{sum(ticks - len(lags) for lags in heard)} events did not reach their clients")
    lags = [lag for each in heard for lag in each]
    title = f"fan-out to {clients}, lag"
    return [
        Figure(f"{title} p50", percentile(lags, 50), "ms", goal=4),
        Figure(f"{title} p99", percentile(lags, 99), "ms", goal=10),
    ]


async def _watch(client: Connection, place: str) -> list[float]:
    lags: list[float] = []

    def hear(piece: bytes) -> None:
        """Frames are small and written whole, so a piece never ends inside one; the count would tell."""
        now = time.monotonic()
        lags.extend((now - float(made)) * 1000 for made in _MADE.findall(piece))

    await client.get(place, hear)
    return lags
