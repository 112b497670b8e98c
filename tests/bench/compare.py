"""`python -m tests.bench.compare OTHER` measures this checkout beside another one, at the same time.

The speed of a machine changes from minute to minute, often by more than the code does. So a server of each checkout
runs, and short rounds alternate between the two; which one is first alternates as well. A figure is the median of the
ratios of all pairs of rounds, with the quartiles. OTHER is a directory with the other checkout, the one before the
change, and an environment in `.venv`.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import statistics
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import uvloop

from tests.bench import fan_out, first_event
from tests.bench.client import Connection, connections, new_thread, run_of, wait_small
from tests.bench.costs import cpu_ms
from tests.bench.figures import Figure, percentile, rounded
from tests.bench.redis_use import redis_use
from tests.bench.setup import Bench, serving

CLIENTS: Final = 32
IDLE_STREAMS: Final = 400
_IDLE_S: Final = 600

Round = Callable[[Bench], Awaitable[list[Figure]]]


async def waited(bench: Bench) -> list[Figure]:
    """Small runs that 32 clients wait for."""
    return await _small_runs(bench, "waited", wait_small)


async def streamed(bench: Bench) -> list[Figure]:
    """Small runs that 32 clients stream."""
    return await _small_runs(bench, "streamed", first_event.stream_small)


async def latency(bench: Bench) -> list[Figure]:
    """Small runs of one client."""
    async with connections(bench.url, 1) as (client,):
        waits = [await _elapsed_ms(wait_small(client)) for _ in range(100)]
        values = [(await first_event.stream_small(client))[-1] for _ in range(50)]
    return [
        Figure("waited run, 1 client, p50", percentile(waits, 50), "ms"),
        Figure("first values event, 1 client, p50", percentile(values, 50), "ms"),
    ]


async def supersteps(bench: Bench) -> list[Figure]:
    """One loop of supersteps."""
    return await _loops(bench, "superstep", loops=1, steps=500)


async def together(bench: Bench) -> list[Figure]:
    """Eight loops at the same time."""
    return await _loops(bench, "superstep of 8 loops", loops=8, steps=200)


async def followed(bench: Bench) -> list[Figure]:
    """The events of one run, sent to 200 clients."""
    before = cpu_ms(bench.own())
    lags = await fan_out.measure(bench)
    return [*lags, *_cpu(bench, before, 1, "fan-out")]


ROUNDS: Final[dict[str, Round]] = {
    "waited": waited,
    "streamed": streamed,
    "latency": latency,
    "supersteps": supersteps,
    "together": together,
    "followed": followed,
}


async def idle_stream_kib(bench: Bench) -> float:
    """Memory that the web process needs for one more stream on which nothing is sent but pings, in KiB."""
    web = bench.own()["web"]
    async with connections(bench.url, IDLE_STREAMS + 1) as (client, *followers):
        thread = new_thread()
        request = run_of("ticker", {"wait_s": _IDLE_S, "ticks": 1}, stream_mode=["custom"])
        run = json.loads(await client.post(f"{thread}/runs", request))
        path = f"{thread}/runs/{run['run_id']}"
        before = web.memory_full_info().uss
        streams = await asyncio.gather(*(_open_stream(follower, path) for follower in followers))
        used = web.memory_full_info().uss - before
        await client.post(f"{path}/cancel?wait=true", {})
        await asyncio.gather(*streams)
    return used / IDLE_STREAMS / 1024


async def _open_stream(follower: Connection, path: str) -> asyncio.Future[bytes]:
    """Returns when the headers of the response have arrived. The future ends with the stream."""
    opened = asyncio.Event()
    stream = asyncio.ensure_future(follower.get(f"{path}/stream?stream_mode=custom", lambda _: opened.set()))
    await opened.wait()
    return stream


@dataclass(frozen=True, slots=True)
class Comparison:
    """One figure of both checkouts, in all pairs of rounds."""

    name: str
    unit: str
    before: Sequence[float]
    after: Sequence[float]

    def line(self) -> str:
        """A row of a Markdown table."""
        ratios = [after / before for before, after in zip(self.before, self.after, strict=True) if before]
        if not ratios:
            return f"| {self.name} | 0 | {rounded(statistics.median(self.after))} {self.unit} | | |"
        low, middle, high = statistics.quantiles(ratios, n=4) if len(ratios) > 1 else ratios * 3
        medians = (rounded(statistics.median(values)) for values in (self.before, self.after))
        cells = (
            self.name,
            *(f"{median} {self.unit}" for median in medians),
            f"{middle:.3f}",
            f"{low:.3f} … {high:.3f}",
        )
        return f"| {' | '.join(cells)} |"


async def compare(other: Path, names: Sequence[str], pairs: int) -> list[Comparison]:
    """Measures `pairs` pairs of each round."""
    async with _both(other) as (before, after):
        comparisons = []
        for name in names:
            comparisons += await compare_round(ROUNDS[name], before, after, pairs)
        idle = [await idle_stream_kib(bench) for bench in (before, after)]
        return [*comparisons, Comparison("memory of an idle stream (USS)", "KiB", idle[:1], idle[1:])]


@asynccontextmanager
async def _both(other: Path) -> AsyncIterator[tuple[Bench, Bench]]:
    other_python = other / ".venv" / "bin" / "python"
    async with serving(None, quick=False, python=str(other_python)) as before, serving(None, quick=False) as after:
        yield before, after


async def compare_round(measure: Round, before: Bench, after: Bench, pairs: int) -> list[Comparison]:
    """Measures `pairs` times each of two servers, alternately. Which one is first alternates as well."""
    measured: dict[str, tuple[Figure, list[float], list[float]]] = {}
    for pair in range(pairs):
        for bench in (before, after) if pair % 2 == 0 else (after, before):
            for figure in await measure(bench):
                _, *values = measured.setdefault(figure.name, (figure, [], []))
                values[bench is after].append(figure.value)
    return [Comparison(figure.name, figure.unit, first, second) for figure, first, second in measured.values()]


async def _small_runs(bench: Bench, kind: str, execute: Callable[[Connection], Awaitable[object]]) -> list[Figure]:
    each, before, use_before = 20, cpu_ms(bench.own()), await redis_use(bench)
    async with connections(bench.url, CLIENTS) as clients:

        async def client(connection: Connection) -> None:
            for _ in itertools.repeat(None, each):
                await execute(connection)

        took_ms = await _elapsed_ms(asyncio.gather(*map(client, clients)))
    runs = CLIENTS * each
    return [
        Figure(f"{kind} run, 32 clients, time per run", took_ms / runs, "ms"),
        *_cpu(bench, before, runs, f"{kind} run"),
        *(await redis_use(bench)).figures(use_before, runs, f"{kind} run"),
    ]


async def _loops(bench: Bench, title: str, *, loops: int, steps: int) -> list[Figure]:
    before = cpu_ms(bench.own())
    request = run_of("loop", {"count": 0, "until": steps}, config={"recursion_limit": steps + 2})
    async with connections(bench.url, loops) as clients:
        runs = (client.post(f"{new_thread()}/runs/wait", request) for client in clients)
        took_ms = await _elapsed_ms(asyncio.gather(*runs))
    count = loops * steps
    return [Figure(f"{title}, time", took_ms / count, "ms"), *_cpu(bench, before, count, title)]


def _cpu(bench: Bench, before: dict[str, float], count: int, each: str) -> list[Figure]:
    spent = {name: after - before[name] for name, after in cpu_ms(bench.own()).items()}
    names = ("web", "worker", "valkey")
    return [
        *(Figure(f"{each}, CPU of {name}", spent[name] / count, "ms") for name in names),
        Figure(f"{each}, CPU of all processes", sum(spent.values()) / count, "ms"),
    ]


async def _elapsed_ms(work: Awaitable[object]) -> float:
    started = time.perf_counter()
    await work
    return (time.perf_counter() - started) * 1000


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m tests.bench.compare", description="Measure two checkouts in pairs."
    )
    parser.add_argument("other", type=Path, help="the directory of the checkout before the change")
    parser.add_argument("round", nargs="*", help=f"any of {', '.join(ROUNDS)}; default: all")
    parser.add_argument("--pairs", type=int, default=20, help="number of pairs of each round (default: 20)")
    arguments = parser.parse_args()
    if unknown := set(arguments.round) - set(ROUNDS):
        parser.error(f"unknown round {sorted(unknown)[0]!r}; choose from {', '.join(ROUNDS)}")
    comparisons = uvloop.run(compare(arguments.other, arguments.round or list(ROUNDS), arguments.pairs))
    print_table(comparisons, "before", "after")


def print_table(comparisons: Sequence[Comparison], before: str, after: str) -> None:
    """Prints a Markdown table. `before` and `after` are the names of the two servers."""
    print(f"| figure | {before} | {after} | {after} / {before} | quartiles |\n|---|---|---|---|---|")
    print("\n".join(comparison.line() for comparison in comparisons), flush=True)


if __name__ == "__main__":
    main()
