"""What operations cost with many queued and waiting runs, beside the same operations on an empty deployment.

The queued runs are due and no worker claims them. The waiting runs are later (delayed), parked at a concurrency limit,
or wait for approval. A web process serves the requests; this process claims as a worker does. All operations are
measured first, then the runs are generated, with the scripts that create, claim and settle every run, and all
operations are measured again. The bare figure is the cost in the empty deployment.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Final

from slipway.health.doctor import Doctor
from slipway.health.scripts import HealthScripts
from slipway.redis.pipeline import Pipeline
from slipway.runs.leases import RETRY_PAUSE_MS
from slipway.runs.record import Phase, Run, new_id, run_from
from slipway_workers.duties.reconciler import JOB_PAGES, PAGES
from tests.bench.client import Connection, connections, new_thread, run_of
from tests.bench.figures import Figure
from tests.bench.setup import Bench
from tests.crash.cluster import Cluster, running
from tests.runs.conftest import Stores, new_run, opened
from tests.shards import shards_of

QUEUED, WAITING = 100_000, 10_000
CREATORS: Final = 64
"""Runs that are generated at the same time."""

_LEASE_MS: Final = 3_600_000
_CLAIMED_AT_ONCE: Final = 10
_GOAL: Final = 1.5
_IN_A_GROUP: Final = [("parked", 1)]


@dataclass(frozen=True, slots=True)
class _Cost:
    """Of one operation, in ms: elapsed time, and CPU of the main thread of Redis."""

    elapsed_ms: float
    redis_ms: float


async def measure(bench: Bench) -> list[Figure]:
    """The cost of each operation and of each round of a duty among many runs."""
    queued, waiting = bench.size(QUEUED, 1_000), bench.size(WAITING, 300)
    count = bench.size(300, 20)
    async with running(webs=1) as cluster, opened(cluster.redis_url, cluster.keys) as stores:
        # the fork that rewrites the file makes writes cost more while it lasts
        await cluster.pipeline.send("CONFIG", "SET", "auto-aof-rewrite-percentage", "0")
        empty = await _measure_all(cluster, stores, count)
        started = time.perf_counter()
        await generate(stores, queued, waiting)
        generated_s = time.perf_counter() - started
        full = await _measure_all(cluster, stores, count)
        memory = await _used_memory(cluster.pipeline)
    title = f"with {queued:,} queued and {waiting:,} waiting runs"
    figures = [Figure("runs generated", (queued + waiting) / generated_s, "runs/s", more_is_better=True)]
    figures.append(Figure(f"memory of Redis {title}", memory / 1024**2, "MiB"))
    for name, cost in full.items():
        before, limit = empty[name], None if name.startswith("duty") else _GOAL
        for measured, value, of_empty in (
            ("elapsed", cost.elapsed_ms, before.elapsed_ms),
            ("Redis CPU", cost.redis_ms, before.redis_ms),
        ):
            goal = None if limit is None else of_empty * limit
            figures.append(Figure(f"{name}, {measured}", value, "ms", goal=goal, bare=of_empty))
    return figures


async def generate(stores: Stores, queued: int, waiting: int) -> None:
    """Stores so many queued runs, and as many waiting ones: each third is parked, waits for approval, or is later."""
    third = waiting // 3
    await _create(stores, third, groups=_IN_A_GROUP)
    while await _is_due(stores):  # the first run gets the only slot of its group, and the claims park the others
        await _claim(stores)
    await _create(stores, third)
    while claimed := await _claim(stores):
        await asyncio.gather(*(stores.settle(run, Phase.WAITING_FOR_APPROVAL) for run in claimed))
    await _create(stores, waiting - 2 * third, after_s=3600)
    await _create(stores, queued)


async def _is_due(stores: Stores) -> bool:
    return bool(await stores.pipeline.send("EXISTS", stores.keys.queue, repeatable=True))


async def _claim(stores: Stores) -> list[Run]:
    return await stores.claim(limit=CREATORS, worker="bench", lease_ms=_LEASE_MS)


async def _create(stores: Stores, count: int, **fields: Any) -> None:
    numbers = iter(range(count))

    async def create_some() -> None:
        for _ in numbers:
            await stores.create(new_run(new_id(), create_thread=True, **fields))

    await asyncio.gather(*(create_some() for _ in range(CREATORS)))


async def _used_memory(pipeline: Pipeline) -> int:
    info = (await pipeline.send("INFO", "memory", repeatable=True)).decode()
    return int(info.partition("used_memory:")[2].split()[0])


async def _measure_all(cluster: Cluster, stores: Stores, count: int) -> dict[str, _Cost]:
    async with connections(cluster.webs[0].url, 1) as (client,):  # the web process closes an idle connection
        return await _Operations(cluster, stores, client, count).measure_all()


class _Operations:
    """Each operation is executed `count` times in a row, so that the CPU of Redis can be read before and after."""

    def __init__(self, cluster: Cluster, stores: Stores, client: Connection, count: int) -> None:
        self._pipeline, self._keys = cluster.pipeline, cluster.keys
        self._stores, self._client, self._count = stores, client, count
        self._created: list[str] = []
        self._claimed: list[Run] = []

    async def measure_all(self) -> dict[str, _Cost]:
        """The cost of each operation by its name. All runs that were created are cancelled in the end."""
        few = max(self._count // 20, 3)
        thread = new_thread()
        for _ in range(3):
            await self._create(thread)
        scripts, doctor = HealthScripts(self._pipeline, shards_of(self._keys)), self._doctor()
        costs = {
            "create a run": await self._measure(self._create_next),
            "create a run on a busy thread": await self._measure(lambda: self._create(thread)),
            "claim 10 runs": await self._measure(self._claim, few),
            "settle a run": await self._measure(self._settle_next, len(self._claimed)),
            "list the runs of a thread": await self._measure(lambda: self._client.get(f"{thread}/runs?limit=10")),
            "list 10 runs across threads": await self._measure(lambda: self._client.get("/ops/runs?limit=10")),
            "list 10 queued runs": await self._measure(lambda: self._client.get("/ops/runs?phase=queued&limit=10")),
            "search 10 threads": await self._measure(lambda: self._client.post("/threads/search", {"limit": 10})),
            "read /metrics": await self._measure(lambda: self._client.get("/metrics"), few),
            "duty: measure the workload": await self._measure(lambda: scripts.workload(_LEASE_MS), few),
            "duty: reclaim expired leases": await self._measure(self._reap, few),
            "duty: reconcile": await self._measure(lambda: doctor.check_next_pages(PAGES, JOB_PAGES), 1),
        }
        return costs | {"cancel a run": await self._measure(self._cancel_next, len(self._created))}

    async def _measure(self, operation: Callable[[], Awaitable[Any]], count: int | None = None) -> _Cost:
        count = count or self._count
        redis_ms, started = await self._redis_cpu_ms(), time.perf_counter()
        for _ in range(count):
            await operation()
        elapsed_ms = (time.perf_counter() - started) * 1000
        return _Cost(elapsed_ms / count, (await self._redis_cpu_ms() - redis_ms) / count)

    async def _redis_cpu_ms(self) -> float:
        info = (await self._pipeline.send("INFO", "cpu", repeatable=True)).decode()
        facts = dict(line.split(":") for line in info.splitlines() if ":" in line)
        return 1000 * sum(float(facts[f"used_cpu_{kind}_main_thread"]) for kind in ("user", "sys"))

    async def _create_next(self) -> None:
        await self._create(new_thread())

    async def _create(self, thread: str) -> None:
        run = json.loads(await self._client.post(f"{thread}/runs", run_of("steps", {"upto": 1})))
        self._created.append(f"{thread}/runs/{run['run_id']}")

    async def _claim(self) -> None:
        _, claimed, *_ = await self._stores.queues[0].run_claim("bench", _CLAIMED_AT_ONCE, _LEASE_MS)
        self._claimed += [run_from(fields) for fields in claimed]

    async def _settle_next(self) -> None:
        run = self._claimed.pop()
        await self._stores.settle(run)
        self._created = [path for path in self._created if not path.endswith(run.run_id)]

    async def _cancel_next(self) -> None:
        await self._client.post(f"{self._created.pop()}/cancel", {})

    async def _reap(self) -> None:
        await self._stores.queues[0].run_reap(event_ttl_s=60, pause_ms=RETRY_PAUSE_MS)

    def _doctor(self) -> Doctor:
        return Doctor(self._pipeline, shards_of(self._keys), lease_ms=_LEASE_MS, repair=False)
