"""Time until the headers, the event `metadata` and the first event of the graph arrive in a stream."""

from __future__ import annotations

import asyncio
import time

from tests.bench.client import Connection, RequestFailed, connections, new_thread, run_of
from tests.bench.figures import Figure, percentile
from tests.bench.setup import Bench

MARKERS = (b"", b"event: metadata", b"event: values")


async def measure(bench: Bench) -> list[Figure]:
    """With 1 and with 32 clients."""
    figures = []
    for clients, runs, goal in ((1, bench.size(300, 10), 1.5), (32, bench.size(20, 1), 25.0)):
        async with connections(bench.url, clients) as opened:
            streams = await asyncio.gather(*(_streams(connection, runs) for connection in opened))
        headers, metadata, values = zip(*(times for stream in streams for times in stream), strict=True)
        title = f"stream, {clients} client{'s' * (clients > 1)}"
        figures += [
            Figure(f"{title}, headers, p50", percentile(headers, 50), "ms"),
            Figure(f"{title}, metadata, p50", percentile(metadata, 50), "ms"),
            Figure(f"{title}, first values, p50", percentile(values, 50), "ms", goal=goal),
            Figure(f"{title}, first values, p99", percentile(values, 99), "ms"),
        ]
    return figures


async def _streams(connection: Connection, runs: int) -> list[tuple[float, ...]]:
    return [await stream_small(connection) for _ in range(runs)]


async def stream_small(connection: Connection) -> tuple[float, ...]:
    """One small run, streamed from the request to its end. Returns the milliseconds from the request to each marker."""
    times_ms: list[float] = []
    body = bytearray()

    def on_part(part: bytes) -> None:
        body.extend(part)
        while len(times_ms) < len(MARKERS) and MARKERS[len(times_ms)] in body:
            times_ms.append((time.perf_counter() - started) * 1000)

    started = time.perf_counter()
    await connection.post(f"{new_thread()}/runs/stream?end=true", run_of("small", {"text": "hello"}), on_part)
    if len(times_ms) < len(MARKERS) or b"event: end" not in body:
        raise RequestFailed(f"unexpected stream {bytes(body[:300])!r}")
    return tuple(times_ms)
