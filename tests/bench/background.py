"""How many background runs a second are accepted, and how many are done?"""

from __future__ import annotations

import asyncio
import json
import time

from tests.bench.client import Connection, Refused, connections, new_thread, run_of
from tests.bench.figures import Figure
from tests.bench.setup import Bench

CLIENTS = 32


async def measure(bench: Bench) -> list[Figure]:
    """Creates a second, and runs a second until the last is done."""
    each = bench.size(40, 2)
    async with connections(bench.url, CLIENTS) as clients:
        began = time.perf_counter()
        made = await asyncio.gather(*(_create(client, each) for client in clients))
        accepted_s = time.perf_counter() - began
        await asyncio.gather(*(_joined(client, places) for client, places in zip(clients, made, strict=True)))
        done_s = time.perf_counter() - began
    runs = CLIENTS * each
    return [
        Figure("background, accepted", runs / accepted_s, "runs/s", more_is_better=True),
        Figure("background, done", runs / done_s, "runs/s", more_is_better=True),
    ]


async def _create(client: Connection, count: int) -> list[str]:
    places = []
    for _ in range(count):
        thread = new_thread()
        run = json.loads(await client.post(f"{thread}/runs", run_of("small", {"text": "hello"})))
        places.append(f"{thread}/runs/{run['run_id']}")
    return places


async def _joined(client: Connection, places: list[str]) -> None:
    """The last ones are waited for; the others are over by then, or nearly."""
    for place in reversed(places):
        if (body := await client.get(f"{place}/join")).strip() != b'{"text":"hello!"}':
            raise Refused(f"unexpected outcome {body[:300]!r}")
