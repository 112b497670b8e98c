"""First pages and counts among 1,000,000 threads, in one shard and spread over 64.

The threads are those of `searches.py`, in a Valkey of its own. Searches are called without HTTP, one at a time.

`python -m tests.bench.shard_searches [--threads N] [--shards COUNT …] [--repeat N]`
"""

from __future__ import annotations

import argparse
import asyncio
import time
from collections.abc import Callable, Coroutine
from itertools import islice
from typing import Any, Final

import ormsgpack
import uvloop

from slipway.redis.connection import Address
from slipway.redis.pipeline import Pipeline
from slipway.redis.server_pipeline import ServerPipeline
from slipway.redis.shards import Shards
from slipway.threads.search import ThreadQuery, ThreadSearch
from tests.bench.figures import Figure, percentile, table
from tests.bench.searches import GENERATE_THREADS, threads_of
from tests.embedded_valkey import embedded_valkey

THREADS: Final = 1_000_000
SHARDS: Final = (1, 64)
GOAL_MS: Final = 15.0
"""The goal of a first page in 64 shards."""

_MAX_CHECKS: Final = 20_000
_AT_ONCE: Final = 2_000
"""How many threads are sent before their replies are awaited."""

Search = Callable[[], Coroutine[Any, Any, object]]


def searches_of(search: ThreadSearch) -> dict[str, tuple[Search, bool]]:
    """By name: a search, and whether it reads a first page."""

    def page(query: ThreadQuery, sort_by: str = "updated_at", offset: int = 0, limit: int = 10) -> Search:
        return lambda: search.page(query, limit=limit, offset=offset, sort_by=sort_by, descending=True)

    common, early = ThreadQuery(metadata={"owner": "common"}), ThreadQuery(metadata={"owner": "early"})
    interrupted = ThreadQuery(metadata={"owner": "common"}, status="interrupted")
    return {
        "all": (page(ThreadQuery()), True),
        "all, 100 threads": (page(ThreadQuery(), limit=100), True),
        "all by created_at": (page(ThreadQuery(), "created_at"), True),
        "all by status": (page(ThreadQuery(), "status"), True),
        "a common owner": (page(common), True),
        "a common owner, interrupted": (page(interrupted), True),
        "a common owner by created_at": (page(common, "created_at"), True),
        "the owner of the oldest": (page(early), True),
        "one customer": (page(ThreadQuery(metadata={"customer": "customer-17"})), True),
        "an unknown customer": (page(ThreadQuery(metadata={"customer": "nobody"})), True),
        "values": (page(ThreadQuery(values={"topic": "topic-3"})), True),
        "a common owner, page 1000": (page(common, offset=10_000), False),
        "all, page 50,000": (page(ThreadQuery(), offset=500_000), False),
        "count of a common owner": (lambda: search.count(common), False),
        "count of a common owner, interrupted": (lambda: search.count(interrupted), False),
    }


async def measure(pipeline: Pipeline, number: int, count: int, repetitions: int) -> list[Figure]:
    """Stores the threads in `count` shards, and measures each search."""
    shards = Shards(f"searches-{count}", count)
    started = time.monotonic()
    await store(pipeline, shards, number)
    print(f"    {number:,} threads in {count} shards stored in {time.monotonic() - started:.0f} s", flush=True)
    figures = []
    for name, (search, first_page) in searches_of(ThreadSearch(pipeline, shards, max_checks=_MAX_CHECKS)).items():
        for _ in range(3):
            await search()
        cpu_before_ms = await _cpu_ms(pipeline)
        times = [await _elapsed_ms(search) for _ in range(repetitions)]
        cpu_ms = (await _cpu_ms(pipeline) - cpu_before_ms) / repetitions
        label = f"{count} shards, {name}"
        figures += [
            Figure(f"{label}, p50", percentile(times, 50), "ms", goal=GOAL_MS if first_page else None),
            Figure(f"{label}, p99", percentile(times, 99), "ms"),
            Figure(f"{label}, CPU of Valkey", cpu_ms, "ms"),
        ]
    return figures


async def store(pipeline: Pipeline, shards: Shards, number: int) -> None:
    """Each thread in the shard of its id: its record and the entries of all indexes."""
    sha = await pipeline.send("SCRIPT", "LOAD", GENERATE_THREADS)
    threads = threads_of(0, number)
    while batch := list(islice(threads, _AT_ONCE)):
        by_shard: dict[str, list[Any]] = {}
        for thread in batch:
            by_shard.setdefault(shards.of_thread(thread[0]).prefix, []).append(thread)
        await asyncio.gather(
            *(
                pipeline.send("EVALSHA", sha, 0, prefix, ormsgpack.packb(part), indexes)
                for prefix, part in by_shard.items()
                for indexes in (0, 1)
            )
        )


async def _elapsed_ms(search: Search) -> float:
    started = time.perf_counter()
    await search()
    return (time.perf_counter() - started) * 1000


async def _cpu_ms(pipeline: Pipeline) -> float:
    """The CPU that Valkey has used."""
    lines = dict(line.split(":") for line in (await pipeline.send("INFO", "cpu")).decode().split() if ":" in line)
    return 1000 * (float(lines["used_cpu_user"]) + float(lines["used_cpu_sys"]))


async def _main(number: int, counts: list[int], repetitions: int) -> None:
    for count in counts:
        with embedded_valkey() as url:
            pipeline = ServerPipeline(Address(url), "benchmark", patience_s=60, reply_timeout_s=60)
            await pipeline.open()
            print(table(await measure(pipeline, number, count, repetitions)), flush=True)
            await pipeline.close()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--threads", type=int, default=THREADS)
    parser.add_argument("--shards", type=int, nargs="+", default=list(SHARDS))
    parser.add_argument("--repeat", type=int, default=200)
    options = parser.parse_args()
    uvloop.run(_main(options.threads, options.shards, options.repeat))
