"""Runs per second of a graph that waits for one second, as a graph waits for a model: created in time, by few clients
that do not wait for the results. It measures how late runs start, and what they cost.

One web process and one worker process execute them. A run is due when it is created. The load generator is this
process; it shares the cores with the server, and its CPU is a figure, too.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from slipway.redis.keys import Keys
from tests.bench.client import Connection, connections, new_thread, run_of
from tests.bench.figures import Figure, percentile
from tests.bench.setup import Bench, serving
from tests.waiting import wait_until

RUNS_PER_S: Final = 500
SECONDS: Final = 20
SLEEP_S: Final = 1.0
CLIENTS: Final = 8
_READ_AT_ONCE: Final = 500
_END_WITHIN_S: Final = 60.0


@dataclass(frozen=True, slots=True)
class _Times:
    """Of one run, in seconds on the clock of Redis. `ended_at` is None until it has ended."""

    due_at: float
    started_at: float | None
    ended_at: float | None


async def measure(bench: Bench) -> list[Figure]:
    """How late runs start and end, and the CPU for each run."""
    bench.own()
    rate, seconds = bench.size(RUNS_PER_S, 20), bench.size(SECONDS, 2)
    env = {"SLIPWAY_MAX_RUNS_PER_WORKER": "1000"}
    async with serving(None, quick=bench.quick, env=env) as server, connections(server.url, CLIENTS) as clients:
        cpu_before, own_before = _cpu_s(server), time.process_time()
        started = time.monotonic()
        replies = await _create(clients, rate, seconds)
        accepted_s = time.monotonic() - started
        own_s = time.process_time() - own_before
        run_ids = [json.loads(reply)["run_id"] for reply in replies]
        await wait_until(lambda: _has_ended(server, run_ids), _END_WITHIN_S)
        cpu = {name: seconds - cpu_before[name] for name, seconds in _cpu_s(server).items()}
        times = await _times_of(server, run_ids)
        memory = {name: process.memory_info().rss / 1024**2 for name, process in server.own().items()}
    runs = len(run_ids)
    lags = [(each.started_at or 0) - each.due_at for each in times]
    took = [(each.ended_at or 0) - each.due_at for each in times]
    title = f"{rate} runs/s that wait 1 s"
    figures = [Figure(f"{title}: accepted", runs / accepted_s, "runs/s", goal=0.98 * rate, more_is_better=True)]
    for name, values, goal in (("start", lags, 1000), ("end", [each - SLEEP_S for each in took], None)):
        for percent in (50, 99, 100):
            value = 1000 * percentile(values, percent)
            figures.append(Figure(f"{title}: {name} late, p{percent}", value, "ms", goal=goal))
    figures.append(Figure(f"{title}: CPU per run, all processes", 1000 * sum(cpu.values()) / runs, "ms"))
    figures += [Figure(f"{title}: CPU per run, {name}", 1000 * each / runs, "ms") for name, each in cpu.items()]
    figures.append(Figure(f"{title}: CPU per run, load generator", 1000 * own_s / runs, "ms"))
    figures += [Figure(f"{title}: memory (RSS), {name}", each, "MB") for name, each in memory.items()]
    return figures


async def _create(clients: Sequence[Connection], rate: int, seconds: int) -> list[bytes]:
    """Creates a run every 1/`rate` seconds; each client creates its share, and is late where the server is."""
    began, replies = time.monotonic(), list[bytes]()
    body = run_of("sleeper", {"for_s": SLEEP_S})

    async def create_share(client: Connection, first: int) -> None:
        for number in range(first, rate * seconds, len(clients)):
            if (pause_s := began + number / rate - time.monotonic()) > 0:
                await asyncio.sleep(pause_s)
            replies.append(await client.post(f"{new_thread()}/runs", body))

    await asyncio.gather(*(create_share(client, first) for first, client in enumerate(clients)))
    return replies


def _cpu_s(server: Bench) -> dict[str, float]:
    times = {name: process.cpu_times() for name, process in server.own().items()}
    return {name: each.user + each.system for name, each in times.items()}


async def _has_ended(server: Bench, run_ids: Sequence[str]) -> bool:
    """Whether all runs have ended. The last ones are read first."""
    for first in range(len(run_ids), 0, -_READ_AT_ONCE):
        page = run_ids[max(first - _READ_AT_ONCE, 0) : first]
        if any(each.ended_at is None for each in await _times_of(server, page)):
            return False
    return True


async def _times_of(server: Bench, run_ids: Sequence[str]) -> list[_Times]:
    redis, keys = server.own_redis(), Keys("slipway")
    times: list[_Times] = []
    for first in range(0, len(run_ids), _READ_AT_ONCE):
        reads = [
            redis.send("HMGET", keys.run(run_id), "created_us", "started_us", "ended_us", repeatable=True)
            for run_id in run_ids[first : first + _READ_AT_ONCE]
        ]
        for read in reads:
            due, started, ended = (None if each is None else int(each) / 1e6 for each in await read)
            assert due is not None
            times.append(_Times(due, started, ended))
    return times
