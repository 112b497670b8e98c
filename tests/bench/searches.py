"""Searches and counts of threads among 0, 20,000, 100,000 and 1,000,000 threads, and what the indexes take.

The threads are stored by a script of the benchmark, as a first run leaves them. 30 % belong to the owner `common`, and
as many to the owner `early`, whose threads are the oldest. Each thread has a customer of its own.
"""

from __future__ import annotations

import hashlib
import time
import uuid
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any, Final

import orjson
import ormsgpack

from slipway.assistants.system import system_id
from slipway.indexes.terms import metadata_terms, value_terms
from slipway.redis.connection import Address
from slipway.redis.keys import Keys
from slipway.redis.server_pipeline import ServerPipeline
from slipway.settings import Settings
from tests.bench.client import Connection, connections
from tests.bench.costs import cpu_ms
from tests.bench.figures import Figure, percentile
from tests.bench.setup import Bench

FULL: Final = (0, 20_000, 100_000, 1_000_000)
QUICK: Final = (0, 500, 2_000)
GENERATE_THREADS: Final = Path(__file__).with_name("generate_threads.lua").read_text()
_BATCH: Final = 200
_PATIENCE_S: Final = 60.0
"""Valkey saves its append-only file meanwhile, on the same two cores."""

_FIRST_US: Final = 1_700_000_000_000_000

_MESSAGES: Final = [
    {"type": kind, "content": "A sentence of about fifty characters, for instance."} for kind in ("human", "ai")
]

StoredThread = tuple[str, int, str, list[str], str, str]

SEARCHES: Final[dict[str, tuple[str, dict[str, Any], float | None]]] = {
    "a common owner": ("search", {"metadata": {"owner": "common"}}, 1),
    "a common owner, page 1000": ("search", {"metadata": {"owner": "common"}, "offset": 10_000}, None),
    "one customer": ("search", {"metadata": {"customer": "customer-17"}}, 1),
    "an unknown customer": ("search", {"metadata": {"customer": "nobody"}}, 1),
    "a common owner, interrupted": ("search", {"metadata": {"owner": "common"}, "status": "interrupted"}, 1),
    "the owner of the oldest": ("search", {"metadata": {"owner": "early"}}, 1),
    "a common owner by created_at": ("search", {"metadata": {"owner": "common"}, "sort_by": "created_at"}, 1),
    "the owner of the oldest by created_at": (
        "search",
        {"metadata": {"owner": "early"}, "sort_by": "created_at"},
        None,
    ),
    "values": ("search", {"values": {"topic": "topic-3"}}, 1),
    "count of a common owner": ("count", {"metadata": {"owner": "common"}}, None),
    "count of a common owner, interrupted": ("count", {"metadata": {"owner": "common"}, "status": "interrupted"}, None),
    "a nested object (no index)": ("search", {"metadata": {"plan": {"level": 99}}}, None),
}
"""By name: the route, the body, and whether the first page has a goal."""


async def measure(bench: Bench) -> list[Figure]:
    """Latency of one client over HTTP, and CPU of Valkey per search."""
    figures, stored = [], 0
    for number in QUICK if bench.quick else FULL:
        figures += await store(bench, stored, number)
        stored = number
        figures += await search(bench, number)
    return figures


async def store(bench: Bench, stored: int, number: int) -> list[Figure]:
    """Stores further threads, so that there are `number`."""
    if number == stored:
        return []
    before = await _used_memory(bench)
    started = time.monotonic()
    await _send(bench, stored, number, indexes=False)
    records = await _used_memory(bench)
    await _send(bench, stored, number, indexes=True)
    indexes = await _used_memory(bench)
    elapsed_s = time.monotonic() - started
    print(f"    {number - stored} threads stored in {elapsed_s:.0f} s", flush=True)
    added = number - stored
    return [
        Figure(f"bytes of the record of a thread, {number} threads", (records - before) / added, "B"),
        Figure(f"bytes of the indexes of a thread, {number} threads", (indexes - records) / added, "B"),
    ]


async def search(bench: Bench, number: int) -> list[Figure]:
    """Each search, repeated by one client."""
    figures = []
    goal_ms = 5 if number > 100_000 else 3
    async with connections(bench.url, 1) as (client,):
        for name, (route, body, goal) in SEARCHES.items():
            repetitions = bench.size(100, 5)
            await _elapsed_ms(client, route, body)
            cpu_before = cpu_ms(bench.own())["valkey"]
            times = [await _elapsed_ms(client, route, body) for _ in range(repetitions)]
            valkey_ms = (cpu_ms(bench.own())["valkey"] - cpu_before) / repetitions
            label = f"{number} threads, {name}"
            figures += [
                Figure(f"{label}, p50", percentile(times, 50), "ms", goal=goal_ms if goal else None),
                Figure(f"{label}, p99", percentile(times, 99), "ms"),
                Figure(f"{label}, CPU of Valkey", valkey_ms, "ms"),
            ]
    return figures


async def _elapsed_ms(client: Connection, route: str, body: dict[str, Any]) -> float:
    started = time.perf_counter()
    await client.post(f"/threads/{route}", body)
    return (time.perf_counter() - started) * 1000


async def _used_memory(bench: Bench) -> int:
    return int((await bench.info("memory"))["used_memory"])


async def _send(bench: Bench, first: int, last: int, *, indexes: bool) -> None:
    prefix = Keys(Settings().key_prefix).prefix
    redis = ServerPipeline(Address(bench.redis_url), "bench", patience_s=_PATIENCE_S, reply_timeout_s=_PATIENCE_S)
    await redis.open()
    sha = await redis.send("SCRIPT", "LOAD", GENERATE_THREADS)
    waiting: list[Any] = []
    threads = threads_of(first, last)
    while batch := list(islice(threads, _BATCH)):
        waiting.append(redis.send("EVALSHA", sha, 0, prefix, ormsgpack.packb(batch), int(indexes)))
        if len(waiting) == 8:
            await waiting.pop(0)
    for reply in waiting:
        await reply
    await redis.close()


def threads_of(first: int, last: int) -> Iterator[StoredThread]:
    """The threads with these numbers. The later ones were changed later."""
    values = [orjson.dumps({"messages": _MESSAGES, "topic": f"topic-{i}"}) for i in range(10)]
    topics = [value_terms(None, text) for text in values]
    assistant = f'"{system_id("small")}"'
    for number in range(first, last):
        metadata = {
            "owner": f'"{_owner(number, last)}"',
            "customer": f'"customer-{number}"',
            "plan": '{"level": 1}',
            "graph_id": '"small"',
            "assistant_id": assistant,
        }
        fields = [part for name, text in metadata.items() for part in (f"m:{name}", text)]
        fields += ["values", values[number % 10].decode(), "interrupts", "{}"]
        status = "interrupted" if number % 50 == 0 else "idle"
        thread_id = str(uuid.UUID(bytes=hashlib.md5(b"%d" % number, usedforsecurity=False).digest(), version=4))
        yield thread_id, _FIRST_US + number * 10_000_000, status, fields, metadata_terms(metadata), topics[number % 10]


def _owner(number: int, last: int) -> str:
    if number < last * 0.3:
        return "early"
    return "common" if number % 7 < 3 else f"owner-{number % 1000}"
