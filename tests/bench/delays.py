"""How long a huge run or request delays everything else in its process: the largest gap of the event loop of the worker
and of the web process, and the latency of small runs that a client sends one after the other meanwhile.

A run of `probe_worker` starts a probe in the worker. A run of `probe_web`, which is inline, starts one in the web
process (`big_graphs.py`). Other programs on the machine lengthen the gaps. So each gap is also given as CPU time of the
thread, which they do not lengthen.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Final

from tests.bench.big import MIB, shapes
from tests.bench.big_graphs import Shape, value_of
from tests.bench.client import Connection, connections, new_thread, run_of, wait_small
from tests.bench.figures import Figure, percentile
from tests.bench.setup import Bench

GOAL_MS: Final = 50.0
_PROCESSES: Final = ("worker", "web")
_REQUESTS: Final = 5
"""How often a large request is sent in one measurement."""


@dataclass(frozen=True, slots=True)
class _Scenario:
    """`action` gets a connection of its own, and a thread that `prepare` has run on: then the worker also has the value
    already, whose creation is the work of the graph's own code."""

    name: str
    action: Callable[[Connection, str], Awaitable[Any]]
    prepare: dict[str, Any] | None = None


async def measure(bench: Bench) -> list[Figure]:
    """Each scenario runs while one client sends small runs."""
    figures = []
    async with connections(bench.url, 2) as (small_runs, huge):
        # the first stream of a web process loads a module
        await huge.post(f"{new_thread()}/runs/stream", run_of("talk", {"events": 1}))
        for scenario in _scenarios(bench):
            path = new_thread()
            if scenario.prepare is not None:
                await huge.post(f"{path}/runs/wait", scenario.prepare)
            async with _small_runs(small_runs) as latencies_ms:
                await _probe(huge, "start")
                await scenario.action(huge, path)
                gaps = await _probe(huge, "stop")
            for process in _PROCESSES:
                gap = gaps[process]
                title = f"{scenario.name}: largest gap of the {process}"
                figures.append(Figure(title, gap["longest_ms"], "ms", goal=GOAL_MS))
                figures.append(Figure(f"{title}, CPU", gap["longest_cpu_ms"], "ms", goal=GOAL_MS))
            figures.append(Figure(f"{scenario.name}: small runs beside it, p99", percentile(latencies_ms, 99), "ms"))
    return figures


def _scenarios(bench: Bench) -> list[_Scenario]:
    size, tasks, events = bench.size(5 * MIB, 100_000), bench.size(500, 20), bench.size(10_000, 50)
    mib = f"{size / MIB:.1f} MiB"
    scenarios = [_Scenario("nothing else", lambda client, path: asyncio.sleep(bench.size(2, 0)))]
    for shape in shapes(bench):
        document = {"shape": shape, "size": size, "until": 1}
        rewriting = run_of("document", {**document, "until": bench.size(8, 2), "rewrites": True})
        body = json.dumps(run_of("document", {"document": _plain(shape, size), "until": 1})).encode()
        last = run_of("document", document)
        scenarios += [
            _Scenario(f"{mib} in each superstep, {shape}", _posting("/runs/stream", rewriting, times=1), last),
            _Scenario(f"request body of {mib}, {shape}", _posting("/runs/wait", body)),
            _Scenario(f"state of {mib}, {shape}", _getting("/state"), last),
            _Scenario(f"history of 3 x {mib}, {shape}", _posting("/history", {"limit": 10}), last),
            _Scenario(f"thread of {mib}, {shape}", _getting(""), last),
        ]
    fan, talk = run_of("fan", {"tasks": tasks}), run_of("talk", {"events": events}, stream_mode=["custom"])
    scenarios += [
        _Scenario(f"{tasks} parallel tasks", _posting("/runs/wait", fan)),
        _Scenario(f"{events} events", _posting("/runs/stream", talk)),
    ]
    return scenarios


def _plain(shape: Shape, size: int) -> Any:
    value = value_of(shape, size)
    return [message.model_dump() for message in value] if shape == "messages" else value


def _posting(
    path: str, body: dict[str, Any] | bytes, times: int = _REQUESTS
) -> Callable[[Connection, str], Awaitable[None]]:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()

    async def post(client: Connection, thread: str) -> None:
        for _ in range(times):
            await client.post_json(f"{thread}{path}", data)

    return post


def _getting(path: str) -> Callable[[Connection, str], Awaitable[None]]:
    async def get(client: Connection, thread: str) -> None:
        for _ in range(_REQUESTS):
            await client.get(f"{thread}{path}")

    return get


@contextlib.asynccontextmanager
async def _small_runs(client: Connection) -> AsyncIterator[list[float]]:
    """The latencies in ms of small runs that are sent one after the other inside the block."""
    latencies_ms: list[float] = []
    stopped = asyncio.Event()

    async def send() -> None:
        while not latencies_ms or not stopped.is_set():
            started = time.perf_counter()
            await wait_small(client)
            latencies_ms.append((time.perf_counter() - started) * 1000)

    sending = asyncio.create_task(send(), name="small runs")
    yield latencies_ms
    stopped.set()
    await sending


async def _probe(client: Connection, action: str) -> dict[str, dict[str, float]]:
    """Starts or stops the probes. The result of `stop`, by process."""
    run = {process: run_of(f"probe_{process}", {"action": action}) for process in _PROCESSES}
    return {process: json.loads(await client.post(f"{new_thread()}/runs/wait", run[process])) for process in _PROCESSES}
