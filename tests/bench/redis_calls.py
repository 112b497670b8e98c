"""Redis commands of one run: commands and scripts of clients, commands inside scripts, and socket reads.

The server reads all commands of one round trip from the socket at once, so a socket read is a round trip.
"""

from __future__ import annotations

from collections import Counter

from tests.bench.client import connections, new_thread, run_of, wait_small
from tests.bench.figures import Figure
from tests.bench.monitor import Commands, count_commands
from tests.bench.setup import Bench

FEW, MANY = 20, 120
"""Supersteps of the two loops whose difference is the cost of one more superstep."""


async def measure(bench: Bench) -> list[Figure]:
    """Per small run, and per further superstep of a loop."""
    runs = bench.size(200, 5)
    commands, reads = await _small_runs(bench, runs)
    few, many = await _writes_of_loop(bench, FEW), await _writes_of_loop(bench, MANY)
    return [
        Figure("Redis commands of clients per small run", commands.total() / runs, ""),
        Figure("Redis socket reads per small run", reads / runs, ""),
        Figure("Redis commands inside scripts per small run", commands.inner.total() / runs, ""),
        Figure("writes of an attempt (run_apply) per small run", commands["run_apply"] / runs, ""),
        Figure("writes of an attempt (run_apply) per superstep", (many - few) / (MANY - FEW), "", goal=1),
    ]


async def notes(bench: Bench) -> list[str]:
    """The commands by name."""
    runs = bench.size(100, 5)
    commands, _ = await _small_runs(bench, runs)
    return [
        "sent by clients, per small run:",
        *_lines(commands, runs),
        "executed by scripts:",
        *_lines(commands.inner, runs),
    ]


def _lines(counts: Counter[str], runs: int) -> list[str]:
    return [f"{count / runs:6.2f}  {name}" for name, count in counts.most_common() if count * 20 >= runs]


async def _small_runs(bench: Bench, runs: int) -> tuple[Commands, int]:
    before = int((await bench.info("stats"))["total_reads_processed"])
    async with connections(bench.url, 1) as (client,), count_commands(bench.redis_url, bench.own_redis()) as commands:
        for _ in range(runs):
            await wait_small(client)
    reads = int((await bench.info("stats"))["total_reads_processed"]) - before
    return commands, reads


async def _writes_of_loop(bench: Bench, steps: int) -> int:
    """The minimum of several loops: the last superstep sometimes needs one more write group."""
    return min([await _writes_of_one_loop(bench, steps) for _ in range(5)])


async def _writes_of_one_loop(bench: Bench, steps: int) -> int:
    request = run_of("loop", {"count": 0, "until": steps}, config={"recursion_limit": steps + 10})
    async with connections(bench.url, 1) as (client,), count_commands(bench.redis_url, bench.own_redis()) as commands:
        await client.post(f"{new_thread()}/runs/wait", request)
    return commands["run_apply"]
