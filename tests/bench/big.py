"""What operations on a long or large thread cost, beside the same operations on a small thread: reading the state and
the newest page of the history, a further run, and a further superstep.

A long thread has many checkpoints; a large one has a large state. A large state costs its bytes; the bare figure beside
it is the time in which this process decodes the stored form and encodes the JSON once.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from slipway.serialization.json_encoding import dumps
from slipway.serialization.serde import Serde
from tests.bench.big_graphs import Shape, value_of
from tests.bench.client import Connection, RequestFailed, connections, new_thread, run_of
from tests.bench.figures import Figure
from tests.bench.setup import Bench

MIB: Final = 1024 * 1024
SHAPES: Final[tuple[Shape, ...]] = ("text", "random", "messages", "records")
_STEPS_OF_A_RUN: Final = 20


@dataclass(frozen=True, slots=True)
class _Cost:
    """Medians of one operation, in ms: elapsed time, and CPU of the main thread of Redis."""

    elapsed_ms: float
    redis_ms: float


async def measure(bench: Bench) -> list[Figure]:
    """The ratios of costs, each measured in turns with the small thread."""
    checkpoints, size = bench.size(20_000, 60), bench.size(5 * MIB, 200_000)
    async with connections(bench.url, 1) as (client,):
        threads = _Threads(client)
        small = await threads.create(until=5)
        long = await threads.create(until=checkpoints)
        figures = await _compare(bench, client, threads, f"{checkpoints} checkpoints", small, long)
        for shape in shapes(bench):
            large = await threads.create(until=5, shape=shape, size=size)
            title = f"state of {size / MIB:.1f} MiB, {shape}"
            figures += await _compare(bench, client, threads, title, small, large, _bare(shape, size))
    return figures


def _bare(shape: str, size: int) -> float:
    """The ms in which a document is decoded and encoded as JSON."""
    serde, value = Serde(), value_of(shape, size)
    stored, times = serde.dumps(value), []
    for _ in range(3):
        started = time.perf_counter()
        dumps(serde.loads(stored))
        times.append((time.perf_counter() - started) * 1000)
    return min(times)


async def _compare(
    bench: Bench,
    client: Connection,
    threads: _Threads,
    title: str,
    small: str,
    other: str,
    bare_ms: float | None = None,
) -> list[Figure]:
    operations: dict[str, Callable[[str], Awaitable[Any]]] = {
        "read the state": lambda path: client.get(f"{path}/state"),
        "read the newest state of the history": lambda path: client.post(f"{path}/history", {"limit": 1}),
        "read 10 states of the history without values": lambda path: client.post(
            f"{path}/history", {"limit": 10, "select": ["metadata"]}
        ),
        "a further run of 1 superstep": lambda path: threads.further_run(path, 1),
        f"a further run of {_STEPS_OF_A_RUN} supersteps": lambda path: threads.further_run(path, _STEPS_OF_A_RUN),
    }
    figures = []
    for name, operation in operations.items():
        before, after = await _in_pairs(bench, operation, small, other)
        figures.append(Figure(f"{title}: {name}", after.elapsed_ms, "ms", bare=bare_ms))
        if bare_ms is None:
            figures.append(
                Figure(f"{title}: {name}, of a small thread", after.elapsed_ms / before.elapsed_ms, "", goal=1.2)
            )
        ratio = after.redis_ms / max(before.redis_ms, 0.001)
        figures.append(Figure(f"{title}: {name}, Redis CPU of a small thread", ratio, "", goal=1.2))
    return figures


async def _in_pairs(
    bench: Bench, operation: Callable[[str], Awaitable[Any]], small: str, other: str
) -> tuple[_Cost, _Cost]:
    costs: dict[str, list[_Cost]] = {small: [], other: []}
    for _ in range(bench.size(25, 2)):
        for path in (small, other):
            costs[path].append(await _measured(bench, operation, path))
    return _median(costs[small]), _median(costs[other])


async def _measured(bench: Bench, operation: Callable[[str], Awaitable[Any]], path: str) -> _Cost:
    redis_ms, started = await _redis_cpu_ms(bench), time.perf_counter()
    await operation(path)
    elapsed_ms = (time.perf_counter() - started) * 1000
    return _Cost(elapsed_ms, await _redis_cpu_ms(bench) - redis_ms)


def _median(costs: list[_Cost]) -> _Cost:
    return _Cost(
        statistics.median(cost.elapsed_ms for cost in costs), statistics.median(cost.redis_ms for cost in costs)
    )


async def _redis_cpu_ms(bench: Bench) -> float:
    info = await bench.info("cpu")
    return (float(info["used_cpu_user_main_thread"]) + float(info["used_cpu_sys_main_thread"])) * 1000


def shapes(bench: Bench) -> Sequence[Shape]:
    """The shapes of large values."""
    return SHAPES[-1:] if bench.quick else SHAPES


class _Threads:
    """Creates threads, and continues each."""

    def __init__(self, client: Connection) -> None:
        self._client, self._counts = client, dict[str, int]()

    async def create(self, **graph_input: Any) -> str:
        path, until = new_thread(), graph_input["until"]
        self._counts[path] = until
        await self._run(path, until, **graph_input)
        return path

    async def further_run(self, path: str, steps: int) -> None:
        """A run of so many supersteps, whose small updates are streamed."""
        self._counts[path] += steps
        await self._run(path, steps, until=self._counts[path])

    async def _run(self, path: str, steps: int, **graph_input: Any) -> None:
        config = {"recursion_limit": steps + 10}
        run = run_of("document", graph_input, config=config, stream_mode=["updates"])
        streamed = await self._client.post(f"{path}/runs/stream", run)
        if streamed.count(b"event: updates") != steps:
            raise RequestFailed(f"unexpected events {streamed[-300:]!r}")
