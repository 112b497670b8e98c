"""Background runs per second: created, and completed."""

from __future__ import annotations

import asyncio
import json
import time

from tests.bench.client import Connection, RequestFailed, connections, new_thread, run_of
from tests.bench.figures import Figure
from tests.bench.setup import Bench

CLIENTS = 32


async def measure(bench: Bench) -> list[Figure]:
    """Created runs per second, and completed runs per second until the last one has ended."""
    each = bench.size(40, 2)
    async with connections(bench.url, CLIENTS) as clients:
        started = time.perf_counter()
        paths_by_client = await asyncio.gather(*(_create(client, each) for client in clients))
        accepted_s = time.perf_counter() - started
        await asyncio.gather(
            *(_join(client, run_paths) for client, run_paths in zip(clients, paths_by_client, strict=True))
        )
        done_s = time.perf_counter() - started
    runs = CLIENTS * each
    return [
        Figure("background, accepted", runs / accepted_s, "runs/s", more_is_better=True),
        Figure("background, done", runs / done_s, "runs/s", more_is_better=True),
    ]


async def _create(client: Connection, count: int) -> list[str]:
    run_paths = []
    for _ in range(count):
        thread = new_thread()
        run = json.loads(await client.post(f"{thread}/runs", run_of("small", {"text": "hello"})))
        run_paths.append(f"{thread}/runs/{run['run_id']}")
    return run_paths


async def _join(client: Connection, run_paths: list[str]) -> None:
    """Wait for the last runs first; the earlier ones have ended by then, or nearly."""
    for run_path in reversed(run_paths):
        if (body := await client.get(f"{run_path}/join")).strip() != b'{"text":"hello!"}':
            raise RequestFailed(f"unexpected result {body[:300]!r}")
