"""The delay of events at 200 clients that follow one run.

Each event has the time at which the run wrote it; the process of the clients reads the same clock. The benchmark fails
if any client misses an event.
"""

from __future__ import annotations

import asyncio
import json
import re
import time

from tests.bench.client import Connection, RequestFailed, connections, new_thread, run_of
from tests.bench.figures import Figure, percentile
from tests.bench.setup import Bench

CLIENTS = 200
PAUSE_S = 0.02
_WRITTEN_AT = re.compile(rb'"at":([0-9.]+)')


async def measure(bench: Bench) -> list[Figure]:
    """Lag p50 and p99, over all clients and events."""
    clients, ticks = bench.size(CLIENTS, 20), bench.size(150, 20)
    async with connections(bench.url, clients) as opened:
        graph_input = {"wait_s": 1.0, "pause_s": PAUSE_S, "ticks": ticks}
        thread = new_thread()
        run = json.loads(await opened[0].post(f"{thread}/runs", run_of("ticker", graph_input, stream_mode=["custom"])))
        stream_path = f"{thread}/runs/{run['run_id']}/stream?stream_mode=custom"
        lags_by_client = await asyncio.gather(*(_follow(client, stream_path) for client in opened))
    if any(len(lags) != ticks for lags in lags_by_client):
        raise RequestFailed(
            f"{sum(ticks - len(lags) for lags in lags_by_client)} events did not arrive at their clients"
        )
    lags = [lag for client_lags in lags_by_client for lag in client_lags]
    title = f"fan-out to {clients}, lag"
    return [
        Figure(f"{title} p50", percentile(lags, 50), "ms", goal=6),
        Figure(f"{title} p99", percentile(lags, 99), "ms", goal=12),
    ]


async def _follow(client: Connection, stream_path: str) -> list[float]:
    lags: list[float] = []

    def on_part(part: bytes) -> None:
        """Frames are small and written at once, so a part never ends inside a frame. Otherwise events would be
        missing."""
        now = time.monotonic()
        lags.extend((now - float(written_at)) * 1000 for written_at in _WRITTEN_AT.findall(part))

    await client.get(stream_path, on_part)
    return lags
