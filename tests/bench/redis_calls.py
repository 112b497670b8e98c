"""What is Redis asked for one run: commands and scripts of clients, what scripts do in turn, and reads of a socket.

A read of a socket is what a round trip looks like from the server: commands that came together are one.
"""

from __future__ import annotations

from collections import Counter

from tests.bench.client import connections, new_thread, run_of, wait_small
from tests.bench.figures import Figure
from tests.bench.monitor import Commands, watching
from tests.bench.setup import Bench

FEW, MANY = 20, 120
"""Supersteps of the two loops whose difference tells what one more costs."""


async def measure(bench: Bench) -> list[Figure]:
    """Per small run; per further superstep of a loop."""
    runs = bench.size(200, 5)
    asked, reads = await _small_runs(bench, runs)
    few, many = await _writes_of_loop(bench, FEW), await _writes_of_loop(bench, MANY)
    return [
        Figure("Redis commands of clients per small run", asked.total() / runs, ""),
        Figure("Redis socket reads per small run", reads / runs, ""),
        Figure("Redis commands inside scripts per small run", asked.inner.total() / runs, ""),
        Figure("writes of an attempt (run_apply) per small run", asked["run_apply"] / runs, ""),
        Figure("writes of an attempt (run_apply) per superstep", (many - few) / (MANY - FEW), "", goal=1),
    ]


async def notes(bench: Bench) -> list[str]:
    """The same by name."""
    runs = bench.size(100, 5)
    asked, _ = await _small_runs(bench, runs)
    return ["asked by clients, per small run:", *_lines(asked, runs), "done by scripts:", *_lines(asked.inner, runs)]


def _lines(counts: Counter[str], runs: int) -> list[str]:
    return [f"{count / runs:6.2f}  {name}" for name, count in counts.most_common() if count * 20 >= runs]


async def _small_runs(bench: Bench, runs: int) -> tuple[Commands, int]:
    before = int((await bench.info("stats"))["total_reads_processed"])
    async with connections(bench.url, 1) as (client,), watching(bench.redis_url, bench.own_redis()) as asked:
        for _ in range(runs):
            await wait_small(client)
    reads = int((await bench.info("stats"))["total_reads_processed"]) - before
    return asked, reads


async def _writes_of_loop(bench: Bench, steps: int) -> int:
    """The least of several: what the last superstep leaves may or may not need a group of its own."""
    return min([await _writes_of_one_loop(bench, steps) for _ in range(5)])


async def _writes_of_one_loop(bench: Bench, steps: int) -> int:
    request = run_of("loop", {"count": 0, "until": steps}, config={"recursion_limit": steps + 10})
    async with connections(bench.url, 1) as (client,), watching(bench.redis_url, bench.own_redis()) as asked:
        await client.post(f"{new_thread()}/runs/wait", request)
    return asked["run_apply"]
