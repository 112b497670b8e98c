"""First pages of records among many: runs across threads, assistants, crons and namespaces of the store.

The records are in the Redis of the benchmark, under a key prefix of their own. Runs are copies of one record;
assistants, crons and items are stored as the API does. Searches are called without HTTP, which adds the same time.

`python -m tests.bench.listings [SIZE …]` measures other numbers of records, on a Valkey of its own.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final
from uuid import UUID

import uvloop

from slipway.assistants.record import AssistantChanges
from slipway.assistants.search import AssistantQuery, AssistantSearch
from slipway.assistants.store import AssistantStore
from slipway.clock import Clock
from slipway.crons.record import NewCron
from slipway.crons.schedules import Schedule
from slipway.crons.search import CronQuery, CronSearch
from slipway.crons.store import CronStore
from slipway.redis.connection import Address
from slipway.redis.keys import Keys
from slipway.redis.pipeline import Pipeline
from slipway.redis.server_pipeline import ServerPipeline
from slipway.run_options import RunOptions
from slipway.runs.index_terms import assistant_term, error_term
from slipway.runs.record import Phase, RunExecution, RunIdentity, RunSpec, new_id
from slipway.runs.run_request import RunRequest
from slipway.runs.search import RunQuery, RunSearch
from slipway.store.store import RedisStore
from tests.bench.figures import Figure, percentile, table
from tests.bench.setup import Bench
from tests.embedded_valkey import embedded_valkey
from tests.shards import shards_of

SIZES: Final = (0, 20_000, 100_000)
MAX_CHECKS: Final = 20_000
_AT_ONCE: Final = 500
_RARE_EVERY: Final = 5000
"""One of so many records has the rare value."""

Search = Callable[[], Awaitable[object]]


async def measure(bench: Bench) -> list[Figure]:
    """The median and the 99th percentile of each search, for each number of records."""
    sizes = SIZES if not bench.quick else (0, 200)
    return [figure for size in sizes for figure in await _among(bench.own_redis(), size, bench.size(200, 3))]


async def _among(pipeline: Pipeline, size: int, repetitions: int) -> list[Figure]:
    keys = Keys(f"listings-{size}")
    figures = []
    for searches in (_run_searches, _assistant_searches, _cron_searches, _namespace_searches):
        for name, search in (await searches(pipeline, keys, size)).items():
            for _ in range(3):
                await search()
            times = [await _elapsed_ms(search) for _ in range(repetitions)]
            figures += [Figure(f"{name} among {size:,}, p{part}", percentile(times, part), "ms") for part in (50, 99)]
    return figures


def _batches(size: int) -> list[range]:
    return [range(first, min(first + _AT_ONCE, size)) for first in range(0, size, _AT_ONCE)]


async def _elapsed_ms(search: Search) -> float:
    started = time.perf_counter()
    await search()
    return (time.perf_counter() - started) * 1000


async def _run_searches(pipeline: Pipeline, keys: Keys, size: int) -> dict[str, Search]:
    await _create_runs(pipeline, keys, size)
    search = RunSearch(pipeline, shards_of(keys), max_checks=MAX_CHECKS)

    def page(query: RunQuery) -> Search:
        return lambda: search.page(query, limit=10)

    return {
        "runs, newest": page(RunQuery()),
        "runs of a graph that completed": page(RunQuery(phases=frozenset({Phase.COMPLETED}), graph_id="steps")),
        "runs with a rare error": page(RunQuery(error_code="ceiling.steps")),
        "runs with an absent error": page(RunQuery(error_code="ceiling.time")),
    }


async def _create_runs(pipeline: Pipeline, keys: Keys, size: int) -> None:
    """Ended runs with records and entries of indexes. Every run is of an assistant of its own graph."""
    assistant_id = new_id()
    identity = RunIdentity(run_id=new_id(), thread_id=new_id(), assistant_id=assistant_id, graph_id="steps")
    spec = RunSpec(identity, RunExecution(options=RunOptions(), ceilings={"max_attempts": 3}))
    common: dict[str, Any] = {**spec.stored_fields(), "kwargs": await spec.stored_options()}
    common |= {"attempt": "1", "uncounted_attempts": "0", "usage": "{}", "reason": ""}
    for numbers in _batches(size):
        sent = []
        for number in numbers:
            run_id, created_us = new_id(), 1_700_000_000_000_000 + number
            failed = number % _RARE_EVERY == 0
            phase = Phase.FAILED if failed else Phase.COMPLETED
            times = {"created_us": str(created_us), "updated_us": str(created_us)}
            fields = common | times | {"run_id": run_id, "phase": phase.value}
            terms = [phase.value, assistant_term(assistant_id), *spec.terms[1:]]
            if failed:
                fields["error"] = '{"code":"ceiling.steps"}'
                terms.append(error_term("ceiling.steps"))
            flat = [part for pair in fields.items() for part in pair]
            sent.append(pipeline.send("HSET", keys.run(run_id), *flat))
            sent += [pipeline.send("ZADD", keys.runs_with(term), created_us, run_id) for term in dict.fromkeys(terms)]
        await asyncio.gather(*sent)


async def _assistant_searches(pipeline: Pipeline, keys: Keys, size: int) -> dict[str, Search]:
    store, search = AssistantStore(pipeline, keys), AssistantSearch(pipeline, keys, max_checks=MAX_CHECKS)
    for numbers in _batches(size):
        await asyncio.gather(
            *(
                store.create(
                    new_id(),
                    AssistantChanges(
                        graph_id="steps",
                        name=f"Assistant {number} of a team",
                        metadata={"team": f"team {number % 10}", "owner": f"user {number // 5}"},
                    ),
                    token=new_id(),
                    exist_ok=False,
                )
                for number in numbers
            )
        )

    def page(query: AssistantQuery, sort_by: str = "created_at") -> Search:
        return lambda: search.page(query, limit=10, offset=0, sort_by=sort_by, descending=True)

    return {
        "assistants, newest": page(AssistantQuery()),
        "assistants with a common member": page(AssistantQuery({"team": "team 1"})),
        "assistants with a rare member": page(AssistantQuery({"owner": "user 1"})),
        "assistants with an absent member": page(AssistantQuery({"owner": "nobody"})),
        "assistants by name": page(AssistantQuery(), "name"),
        "assistants with a rare name": page(AssistantQuery(name="assistant 17 ")),
        "count of assistants with a common member": lambda: search.count(AssistantQuery({"team": "team 1"})),
    }


async def _cron_searches(pipeline: Pipeline, keys: Keys, size: int) -> dict[str, Search]:
    store, search = CronStore(pipeline, shards_of(keys), Clock()), CronSearch(pipeline, keys, max_checks=MAX_CHECKS)
    assistants = [new_id() for _ in range(max(size // 5, 1))]
    for numbers in _batches(size):
        await asyncio.gather(
            *(
                store.create(
                    new_id(),
                    NewCron(
                        assistant_id=assistants[number // 5],
                        thread_id=None,
                        schedule=Schedule("0 8 * * *", None),
                        enabled=True,
                        on_run_completed=None,
                        payload={},
                        metadata={"team": f"team {number % 10}"},
                        request=RunRequest(assistant_id="steps", options=RunOptions()),
                    ),
                    0,
                )
                for number in numbers
            )
        )

    def page(query: CronQuery, sort_by: str = "created_at") -> Search:
        return lambda: search.page(query, 0, limit=10, offset=0, sort_by=sort_by, descending=True)

    return {
        "crons, newest": page(CronQuery()),
        "crons of an assistant": page(CronQuery(assistant_id=assistants[0])),
        "crons with a common member": page(CronQuery(metadata={"team": "team 1"})),
        "crons with an absent member": page(CronQuery(metadata={"team": "no team"})),
        "crons by next run": page(CronQuery(), "next_run_date"),
    }


async def _namespace_searches(pipeline: Pipeline, keys: Keys, size: int) -> dict[str, Search]:
    store = RedisStore(pipeline, keys, max_item_bytes=1000)
    for numbers in _batches(size):
        await asyncio.gather(*(store.aput(("users", str(UUID(int=number))), "k", {"n": number}) for number in numbers))
    user = ("users", str(UUID(int=size // 2)))
    return {
        "namespaces, first page": lambda: store.alist_namespaces(limit=10),
        "namespaces cut to one label": lambda: store.alist_namespaces(max_depth=1, limit=10),
        "namespaces with a suffix": lambda: store.alist_namespaces(suffix=(user[1],), limit=10),
        "items of one namespace": lambda: store.asearch(user, limit=10),
    }


async def _main(sizes: Sequence[int]) -> None:
    with embedded_valkey() as url:
        pipeline = ServerPipeline(Address(url), "benchmark", patience_s=60)
        await pipeline.open()
        for size in sizes:
            print(table(await _among(pipeline, size, 200)), flush=True)
        await pipeline.close()


if __name__ == "__main__":
    uvloop.run(_main([int(size) for size in sys.argv[1:]] or SIZES))
