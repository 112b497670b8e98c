"""`python -m tests.bench.telemetry` measures what traces, metrics and log lines cost.

A server without any of them and one with some of them run at the same time, and short rounds alternate between the two
(`compare`). Spans are exported to a receiver in the process that sends the load: it replies and decodes nothing, so
that it takes little of the two cores.

`--instructions` counts instructions instead (`instructions.py`), which works while the machine has other work.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import tempfile
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from types import MappingProxyType
from typing import Final

import uvloop

from tests.bench.compare import ROUNDS, Comparison, compare_round
from tests.bench.figures import rounded
from tests.bench.instructions import PROCESSES, counts_of, print_counts, require_valgrind
from tests.bench.setup import serving

OFF: Final[Mapping[str, str]] = MappingProxyType(
    {"SLIPWAY_TRACES": "0", "SLIPWAY_METRICS": "0", "SLIPWAY_LOG_LEVEL": "error"}
)
"""Nothing is recorded, counted or logged."""

EXPORT: Final = "exported"

CASES: Final[Mapping[str, Mapping[str, str]]] = MappingProxyType(
    {
        "logs": {**OFF, "SLIPWAY_LOG_LEVEL": "info"},
        "metrics": {**OFF, "SLIPWAY_METRICS": "1"},
        "traces": {**OFF, "SLIPWAY_TRACES": "1"},
        "on": {},
        EXPORT: {},
        "sampled": {
            **OFF,
            "SLIPWAY_TRACES": "1",
            "SLIPWAY_TRACE_SAMPLE_RATIO": "0.01",
            "OTEL_TRACES_SAMPLER": "parentbased_traceidratio",
            "OTEL_TRACES_SAMPLER_ARG": "0.01",
        },
    }
)
"""The environment variables of each case. `on` is the default: all three, and nothing is exported. In the last two,
spans are exported."""

_EXPORTING: Final = (EXPORT, "sampled")
_CHECKOUT: Final = Path(__file__).parent.parent.parent
_OK: Final = b"HTTP/1.1 200 OK\r\ncontent-type: application/x-protobuf\r\ncontent-length: 0\r\n\r\n"
_ROUNDS: Final = ("waited", "supersteps")


@asynccontextmanager
async def otlp_sink() -> AsyncIterator[str]:
    """The URL of a server that accepts whatever is exported to it."""
    server = await asyncio.start_server(_accept, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        yield f"http://127.0.0.1:{port}"


async def _accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while True:
            head = await reader.readuntil(b"\r\n\r\n")
            lengths = (line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:"))
            await reader.readexactly(int(next(lengths).split(b":")[1]))
            writer.write(_OK)
    except (asyncio.IncompleteReadError, ConnectionError):
        writer.close()


def row_of(figure: Comparison) -> str:
    """A row of a Markdown table: what both servers measured, the mean of the ratios of all starts, and its standard
    error. The figure has one value for each start."""
    ratios = [after / before for before, after in zip(figure.before, figure.after, strict=True) if before]
    off, on = (f"{rounded(statistics.mean(values))} {figure.unit}" for values in (figure.before, figure.after))
    error = statistics.stdev(ratios) / len(ratios) ** 0.5 if len(ratios) > 1 else 0.0
    return f"| {figure.name} | {off} | {on} | {statistics.mean(ratios):.3f} | {error:.3f} |"


async def cost_of(case: str, rounds: Sequence[str], pairs: int, starts: int) -> list[Comparison]:
    """Measures a server without telemetry and one with that of `case`. Two servers of the same code differ by a few
    percent for as long as they run, mostly because of the hash seed of Python: so both have the same one, and both are
    started several times, in turns, each time with another seed."""
    measured: list[list[Comparison]] = []
    async with otlp_sink() as endpoint:
        both = (OFF, _variables_of(case, endpoint))
        for start in range(starts):
            first, second = (
                {**each, "PYTHONHASHSEED": str(start)} for each in (both if start % 2 == 0 else both[::-1])
            )
            async with serving(None, quick=False, env=first) as one, serving(None, quick=False, env=second) as other:
                off, on = (one, other) if start % 2 == 0 else (other, one)
                measured.append([each for name in rounds for each in await compare_round(ROUNDS[name], off, on, pairs)])
    return [_of_starts(each) for each in zip(*measured, strict=True)]


def _of_starts(starts: Sequence[Comparison]) -> Comparison:
    """One figure with a value for each start: the mean of its rounds."""
    before = [statistics.mean(each.before) for each in starts]
    after = [statistics.mean(each.after) for each in starts]
    return Comparison(starts[0].name, starts[0].unit, before, after)


def _variables_of(case: str, endpoint: str) -> Mapping[str, str]:
    return {**CASES[case], "OTEL_EXPORTER_OTLP_ENDPOINT": endpoint} if case in _EXPORTING else CASES[case]


async def _measure(cases: Sequence[str], rounds: Sequence[str], pairs: int, starts: int) -> None:
    for case in cases:
        print(f"| figure | off | {case} | {case} / off | standard error |\n|---|---|---|---|---|")
        print("\n".join(row_of(each) for each in await cost_of(case, rounds, pairs, starts)), flush=True)


async def _count(cases: Sequence[str], processes: Sequence[str], runs: int) -> None:
    with tempfile.TemporaryDirectory(prefix="slipway-counts-") as folder:
        async with otlp_sink() as endpoint:
            off = await counts_of(_CHECKOUT, Path(folder) / "off", processes, runs, OFF)
            for case in cases:
                counts = await counts_of(_CHECKOUT, Path(folder) / case, processes, runs, _variables_of(case, endpoint))
                print_counts("off", off, case, counts)


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m tests.bench.telemetry", description="Measure what telemetry costs."
    )
    parser.add_argument("case", nargs="*", help=f"any of {', '.join(CASES)}; default: all")
    parser.add_argument("--rounds", nargs="+", choices=list(ROUNDS), default=list(_ROUNDS))
    parser.add_argument(
        "--pairs",
        type=int,
        default=4,
        help="number of pairs of each round (default: 4); even, because the first of a pair is slower",
    )
    parser.add_argument("--starts", type=int, default=8, help="how often both servers are started (default: 8)")
    parser.add_argument("--instructions", action="store_true", help="count instructions; needs valgrind")
    parser.add_argument("--process", action="append", choices=PROCESSES, help="with --instructions; default: all")
    parser.add_argument("--runs", type=int, default=60, help="with --instructions: waited runs (default: 60)")
    arguments = parser.parse_args()
    if unknown := set(arguments.case) - set(CASES):
        parser.error(f"unknown case {sorted(unknown)[0]!r}; choose from {', '.join(CASES)}")
    if arguments.pairs % 2:
        parser.error("--pairs must be even: the first server of a pair is slower")
    cases = arguments.case or list(CASES)
    if arguments.instructions:
        require_valgrind()
        uvloop.run(_count(cases, arguments.process or PROCESSES, arguments.runs))
    else:
        uvloop.run(_measure(cases, arguments.rounds, arguments.pairs, arguments.starts))


if __name__ == "__main__":
    main()
