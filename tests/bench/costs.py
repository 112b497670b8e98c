"""The costs of a small run: CPU of each process, what Redis executes, and bytes stored in Redis."""

from __future__ import annotations

import asyncio
import re
from collections import Counter
from collections.abc import Awaitable, Callable

import psutil

from tests.bench.client import Connection, connections, wait_small
from tests.bench.figures import Figure
from tests.bench.first_event import stream_small
from tests.bench.redis_use import redis_use, time_by_script
from tests.bench.setup import Bench

CLIENTS = 32
_ID = re.compile(r"[0-9a-f]{8}-[0-9a-f-]{27}")


async def measure(bench: Bench) -> list[Figure]:
    """CPU and stored bytes per run."""
    processes = bench.own()
    each = bench.size(40, 2)
    runs = CLIENTS * each
    stored_before, cpu_before, use_before = await _stored_bytes(bench), cpu_ms(processes), await redis_use(bench)
    await _execute(bench, wait_small, each)
    waited = (await redis_use(bench)).figures(use_before, runs, "waited run")
    cpu = {name: spent - cpu_before[name] for name, spent in cpu_ms(processes).items()}
    stored = await _stored_bytes(bench) - stored_before
    use_before = await redis_use(bench)
    await _execute(bench, stream_small, each)
    streamed = (await redis_use(bench)).figures(use_before, runs, "streamed run")
    return [
        Figure("CPU per small run, all processes", sum(cpu.values()) / runs, "ms", goal=2.2),
        *(
            Figure(f"CPU per small run, {name}", spent / runs, "ms", goal=0.3 if name == "valkey" else None)
            for name, spent in sorted(cpu.items())
        ),
        Figure("Redis bytes stored per small run", stored / runs / 1024, "KiB", goal=6),
        *waited,
        *streamed,
    ]


async def _execute(bench: Bench, execute: Callable[[Connection], Awaitable[object]], each: int) -> None:
    """Runs `each` small runs of each client."""
    async with connections(bench.url, CLIENTS) as clients:

        async def client(connection: Connection) -> None:
            for _ in range(each):
                await execute(connection)

        await asyncio.gather(*map(client, clients))


async def notes(bench: Bench) -> list[str]:
    """The stored bytes of one small run on a new thread by key, and the time of one call of each script."""
    redis = bench.own_redis()
    before = await _keys(bench)
    async with connections(bench.url, 1) as (client,):
        await wait_small(client)
    sizes: Counter[str] = Counter()
    for key in sorted(await _keys(bench) - before):
        sizes[_ID.sub("…", key)] += await redis.send("MEMORY", "USAGE", key, "SAMPLES", 0, repeatable=True)
    lines = [f"{size:6d}  {key}" for key, size in sizes.most_common()]
    times = await time_by_script(bench, lambda: _execute(bench, wait_small, bench.size(10, 1)))
    scripts = [f"{time:6.0f}  {name}" for name, time in sorted(times.items(), key=lambda item: -item[1])]
    return ["bytes of the keys of one small run:", *lines, "µs of one call of each script, median:", *scripts]


async def _keys(bench: Bench) -> set[str]:
    return {key.decode() for key in await bench.own_redis().send("KEYS", "*", repeatable=True)}


def cpu_ms(processes: dict[str, psutil.Process]) -> dict[str, float]:
    times = {name: process.cpu_times() for name, process in processes.items()}
    return {name: (spent.user + spent.system) * 1000 for name, spent in times.items()}


async def _stored_bytes(bench: Bench) -> int:
    """Used memory without buffers, when it does not change any more."""
    last = -1
    for _ in range(50):
        info = await bench.info("memory")
        now = int(info["used_memory"]) - int(info["mem_clients_normal"]) - int(info["mem_aof_buffer"])
        if abs(now - last) < 1024:
            break
        last = now
        await asyncio.sleep(0.1)
    return now
