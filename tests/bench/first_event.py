"""How soon does a stream begin: headers, the `metadata` event, and the first event of the graph itself?"""

from __future__ import annotations

import asyncio
import time

from tests.bench.client import Connection, Refused, connections, new_thread, run_of
from tests.bench.figures import Figure, percentile
from tests.bench.setup import Bench

MARKS = (b"", b"event: metadata", b"event: values")


async def measure(bench: Bench) -> list[Figure]:
    """p50 of each with 1 and with 32 clients."""
    figures = []
    for clients, runs, goal in ((1, bench.size(300, 10), 1.5), (32, bench.size(20, 1), 12.0)):
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
    return [await _stream(connection) for _ in range(runs)]


async def _stream(connection: Connection) -> tuple[float, ...]:
    """Milliseconds from the request to each mark."""
    seen: list[float] = []
    body = bytearray()

    def hear(piece: bytes) -> None:
        body.extend(piece)
        while len(seen) < len(MARKS) and MARKS[len(seen)] in body:
            seen.append((time.perf_counter() - began) * 1000)

    began = time.perf_counter()
    await connection.post(f"{new_thread()}/runs/stream?end=true", run_of("small", {"text": "hello"}), hear)
    if len(seen) < len(MARKS) or b"event: end" not in body:
        raise Refused(f"unexpected stream {bytes(body[:300])!r}")
    return tuple(seen)
