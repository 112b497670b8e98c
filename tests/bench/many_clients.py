"""What many clients of event streams cost one web process.

Idle clients follow runs that write nothing: all of them one run, each of them a run of its own, or each of them a
thread. The clients of a busy run receive 20 events per second, while further clients of the same run read nothing. The
clients are a process of their own (`event_clients`).
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final

from tests.bench.client import Connection, RequestFailed, connections, new_thread, run_of
from tests.bench.costs import cpu_ms
from tests.bench.event_clients import Received, Streams, allow_files, event_clients
from tests.bench.figures import Figure
from tests.bench.setup import Bench, serving

IDLE_CLIENTS: Final = 10_000
BUSY_CLIENTS: Final = 1_000
UNREAD_CLIENTS: Final = 20
EVENTS_PER_S: Final = 20
SECONDS: Final = 20
LARGE_EVENT_BYTES: Final = 64 * 1024
"""Of small events, the system keeps those of minutes for a client that does not read; of these, 4 seconds."""

IDLE_S: Final = 20
"""Four pings of each stream, and one look at each log."""
_LATER_S: Final = 3600
_OPENING_S_PER_CLIENT: Final = 0.01
_SPARE_CONNECTIONS: Final = 200
_OWN_FILES: Final = 200
_CREATING: Final = 16
MB: Final = 1e6


async def measure(bench: Bench) -> list[Figure]:
    """Memory, CPU and commands of idle clients; delays of a busy run. Each on a new server."""
    bench.own()
    idle, busy = bench.size(IDLE_CLIENTS, 100), bench.size(BUSY_CLIENTS, 50)
    figures: list[Figure] = []
    for kind, paths_of in IDLE.items():
        async with serving_many(idle, quick=bench.quick) as server:
            figures += (await idle_use(server, idle, paths_of, bench.size(IDLE_S, 1))).figures(kind)
    seconds = bench.size(SECONDS, 1)
    runs = {
        "": BusyRun(busy, seconds),
        f" and {UNREAD_CLIENTS} that read nothing": BusyRun(busy, seconds, unread=UNREAD_CLIENTS),
        f" and {UNREAD_CLIENTS} that read nothing, events of 64 KiB": BusyRun(
            busy // 10, seconds, text_bytes=LARGE_EVENT_BYTES, unread=UNREAD_CLIENTS
        ),
    }
    for beside, run in runs.items():
        async with serving_many(busy, quick=bench.quick) as server:
            figures += (await busy_use(server, run)).figures(beside)
    return figures


@asynccontextmanager
async def serving_many(clients: int, *, quick: bool) -> AsyncIterator[Bench]:
    """A new server that accepts `clients` and a few more. Raises `NotOpened` if the system does not permit so many."""
    allow_files(clients + _SPARE_CONNECTIONS + _OWN_FILES)
    env = {"SLIPWAY_MAX_CONNECTIONS": str(clients + _SPARE_CONNECTIONS)}
    async with serving(None, quick=quick, env=env) as server:
        yield server


# idle clients

Paths = Callable[[Connection, int], Awaitable[list[str]]]
"""Creates what this number of clients follow, and returns the path of the stream of each."""


async def one_run(client: Connection, count: int) -> list[str]:
    """All clients follow one run."""
    return [await _later_run(client)] * count


async def own_runs(client: Connection, count: int) -> list[str]:
    """Each client follows a run of its own, as the users of a chat do."""
    return [await _later_run(client) for _ in range(count)]


async def own_threads(client: Connection, count: int) -> list[str]:
    """Each client follows a thread of its own."""
    threads = [new_thread() for _ in range(count)]
    for thread in threads:
        await client.post("/threads", {"thread_id": thread.rpartition("/")[2]})
    return [f"{thread}/stream" for thread in threads]


IDLE: Final[dict[str, Paths]] = {"one run": one_run, "own runs": own_runs, "own threads": own_threads}


@dataclass(frozen=True, slots=True)
class IdleUse:
    """What a web process uses while its clients receive nothing but pings: its memory (RSS) before and with the
    streams, its share of a core, and the commands that all processes send to Redis."""

    clients: int
    rss_before_mb: float
    rss_mb: float
    opening_s: float
    cpu_share: float
    commands_per_s: float
    pings: int

    @property
    def kib_per_client(self) -> float:
        """The memory that one more client needs."""
        return (self.rss_mb - self.rss_before_mb) * MB / self.clients / 1024

    def figures(self, kind: str) -> list[Figure]:
        title = f"{self.clients} idle clients, {kind}"
        return [
            Figure(f"{title}: memory (RSS)", self.rss_mb, "MB", goal=600),
            Figure(f"{title}: memory per client", self.kib_per_client, "KiB"),
            Figure(f"{title}: opened", self.clients / self.opening_s, "clients/s"),
            Figure(f"{title}: CPU", 100 * self.cpu_share, "% of a core"),
            Figure(f"{title}: commands to Redis", self.commands_per_s, "per s"),
        ]


async def idle_use(server: Bench, count: int, paths_of: Paths, idle_s: float) -> IdleUse:
    """Opens the streams and measures for `idle_s`."""
    paths = await _paths(server, count, paths_of)
    before, started_s = await _use(server), time.monotonic()
    async with event_clients(Streams(server.url, paths)) as clients:
        opening_s = time.monotonic() - started_s
        opened, opened_at_s = await _use(server), time.monotonic()
        await asyncio.sleep(idle_s)  # the figures are those of a time in which nothing happens
        idle, took_s = await _use(server), time.monotonic() - opened_at_s
        received = await clients.stop()
    return IdleUse(
        clients=count,
        rss_before_mb=before.rss_mb,
        rss_mb=idle.rss_mb,
        opening_s=opening_s,
        cpu_share=(idle.web_cpu_ms - opened.web_cpu_ms) / 1000 / took_s,
        commands_per_s=(idle.commands - opened.commands) / took_s,
        pings=received.pings,
    )


async def _paths(server: Bench, count: int, paths_of: Paths) -> list[str]:
    async with connections(server.url, _CREATING) as opened:
        if paths_of is one_run:
            return await one_run(opened[0], count)
        shares = [len(range(first, count, _CREATING)) for first in range(_CREATING)]
        created = await asyncio.gather(*(paths_of(client, share) for client, share in zip(opened, shares, strict=True)))
    return [path for paths in created for path in paths]


async def _later_run(client: Connection) -> str:
    return await _new_stream(client, run_of("small", {"text": "hello"}, after_seconds=_LATER_S))


async def _new_stream(client: Connection, run: dict[str, Any]) -> str:
    """The path of the stream of a new run, from its first event."""
    thread = new_thread()
    created = json.loads(await client.post(f"{thread}/runs", run))
    return f"{thread}/runs/{created['run_id']}/stream?since_event_id=0"


# the clients of a busy run


@dataclass(frozen=True, slots=True)
class BusyRun:
    """A run with `EVENTS_PER_S` events for `seconds`, each with a text of `text_bytes`. `clients` read all of them;
    `unread` further clients read nothing."""

    clients: int
    seconds: float
    text_bytes: int = 0
    unread: int = 0

    @property
    def events(self) -> int:
        return round(self.seconds * EVENTS_PER_S)


@dataclass(frozen=True, slots=True)
class BusyUse:
    """What the clients of a busy run have received, and what that cost."""

    run: BusyRun
    received: Received
    web_cpu_share: float
    clients_cpu_share: float
    commands_per_event: float
    rss_growth_mb: float

    def figures(self, beside: str) -> list[Figure]:
        title, received = f"{self.run.clients} clients of a busy run{beside}", self.received
        return [
            Figure(f"{title}: lag p50", received.lag_p50_ms, "ms"),
            Figure(f"{title}: lag p99", received.lag_p99_ms, "ms", goal=250),
            Figure(f"{title}: lag, maximum", received.lag_max_ms, "ms"),
            Figure(f"{title}: spread p99", received.spread_p99_ms, "ms", goal=250),
            Figure(f"{title}: CPU", 100 * self.web_cpu_share, "% of a core"),
            Figure(f"{title}: CPU of the clients", 100 * self.clients_cpu_share, "% of a core"),
            Figure(f"{title}: commands to Redis per event", self.commands_per_event, ""),
            Figure(f"{title}: growth of memory", self.rss_growth_mb, "MB"),
            Figure(f"{title}: clients disconnected because they do not read", received.slow_clients, ""),
        ]


async def busy_use(server: Bench, run: BusyRun) -> BusyUse:
    """Executes the run while the clients follow it. Raises `RequestFailed` if a client that reads has not received each
    event once and in order."""
    count, before = run.clients + run.unread, await _use(server)
    wait_s = 2 + count * _OPENING_S_PER_CLIENT
    ticks = {"wait_s": wait_s, "pause_s": 1 / EVENTS_PER_S, "ticks": run.events, "text": "x" * run.text_bytes}
    async with connections(server.url, 1) as (client,):
        starts_at_s = time.monotonic() + wait_s
        path = await _new_stream(client, run_of("ticker", ticks, stream_mode=["custom"]))
        async with event_clients(Streams(server.url, [path] * count, run.unread)) as clients:
            if time.monotonic() > starts_at_s:
                raise RequestFailed(f"{count} clients needed more than {wait_s:.0f} s to open their streams")
            opened = await _use(server)
            received = await clients.received()
            ended = await _use(server)
    if not received.least_events == received.most_events == run.events or received.unordered:
        raise RequestFailed(f"the clients should have received {run.events} events in order: {received}")
    return BusyUse(
        run,
        received,
        web_cpu_share=(ended.web_cpu_ms - opened.web_cpu_ms) / 1000 / run.seconds,
        clients_cpu_share=received.cpu_s / run.seconds,
        commands_per_event=(ended.commands - opened.commands) / run.events,
        rss_growth_mb=ended.rss_mb - before.rss_mb,
    )


# counters of the server


@dataclass(frozen=True, slots=True)
class _Use:
    rss_mb: float
    web_cpu_ms: float
    commands: int
    """What Redis has executed, without the commands inside scripts."""


async def _use(server: Bench) -> _Use:
    web = server.own()["web"]
    commands = await server.info("commandstats")
    sent = {name: int(text.split(",")[0].removeprefix("calls=")) for name, text in commands.items()}
    counted = sum(calls for name, calls in sent.items() if name in _SENT)
    return _Use(web.memory_info().rss / MB, cpu_ms({"web": web})["web"], counted)


_SENT: Final = frozenset({"cmdstat_evalsha", "cmdstat_eval", "cmdstat_subscribe", "cmdstat_unsubscribe"})
