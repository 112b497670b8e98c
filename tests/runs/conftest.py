"""Stores of runs, threads and events on a real Valkey."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, cast

import pytest

from slipway.accounting.limits import ceilings_of
from slipway.checkpoints.base_checkpointer import BaseCheckpointer
from slipway.checkpoints.core_checkpointer import CoreCheckpointer
from slipway.checkpoints.scripts import TrashScripts
from slipway.checkpoints.trash import Trash
from slipway.graph_versions.served_graphs import ServedGraphs
from slipway.graphs.interface import Graphs
from slipway.indexes.terms import value_terms
from slipway.redis.blocking_calls import BlockingCalls
from slipway.redis.connect import pipeline_to, subscriber_to
from slipway.redis.connection import Address
from slipway.redis.keys import Keys
from slipway.redis.per_shard import PerShard
from slipway.redis.pipeline import Pipeline
from slipway.redis.server_pipeline import ServerPipeline
from slipway.redis.shard_ids import ids_like, run_id_on
from slipway.redis.shards import Shards
from slipway.redis.subscriber import Subscriber
from slipway.reviews.protocol_answers import ProtocolAnswers
from slipway.run_options import RunOptions
from slipway.runs.admission import Admission
from slipway.runs.attempt_writer import DEFAULT_LIMITS, AttemptWriter, SendLimits
from slipway.runs.creation import RunCreator
from slipway.runs.event_log import EventLog
from slipway.runs.events import Event
from slipway.runs.failure import RunError
from slipway.runs.group_exchange import GroupExchange
from slipway.runs.queue_scripts import QueueScripts
from slipway.runs.record import (
    Phase,
    Run,
    RunBehaviour,
    RunExecution,
    RunIdentity,
    RunSpec,
    new_id,
    run_from,
)
from slipway.runs.script_results import ReclaimedRun, SettleResult
from slipway.runs.scripts import RunScripts
from slipway.runs.settlement import Release, Settlement, ThreadSummary
from slipway.runs.store import RunStore
from slipway.settings import Settings
from slipway.threads.record import Thread
from slipway.threads.scripts import ThreadScripts
from slipway.threads.store import ThreadStore
from tests.project_fixtures import graphs_of, module_of
from tests.shards import shards_of

PROJECT = Path(__file__).parent / "project" / "langgraph.json"
LEASE_MS = 60_000
TTL_S = 600
ANY_VERSION = ServedGraphs(cast(Graphs, None))
"""What a worker serves whose claims do not depend on versions: `refresh` was never called."""

TIMES_OF_CHANGE = frozenset({b"updated_us", b"state_us", b"ended_us"})


_EXCHANGES = 4
"""How often a claim of a test is repeated at most, after slots of groups were exchanged."""


@dataclass(frozen=True, slots=True)
class Stores:
    """The stores of web processes and workers on one pipeline, with methods for the steps that most tests need."""

    pipeline: Pipeline
    blocking: BlockingCalls
    shards: Shards
    keys: Keys
    scripts: RunScripts
    queues: PerShard[QueueScripts]
    thread_scripts: ThreadScripts
    runs: RunStore
    creator: RunCreator
    threads: ThreadStore
    subscriber: Subscriber
    events: EventLog
    checkpointer: BaseCheckpointer
    trash: Trash
    one_queue: bool

    def new_thread_id(self) -> str:
        """The id of a thread in any shard; with `one_queue`, in the first one."""
        seed = new_id()
        if not self.one_queue:
            return seed
        return next(each for each in ids_like(seed) if self.shards.of_thread(each) == self.shards.home)

    async def create_thread(self) -> str:
        """Creates a thread and returns its id."""
        return (await self.threads.create_or_get(self.new_thread_id(), {}))[0].thread_id

    async def create_run(self, thread_id: str | None = None, /, **fields: Any) -> Run:
        """Creates a run, by default on a new thread. `fields` are those of `new_run`."""
        return await self.create(new_run(thread_id or await self.create_thread(), **fields))

    async def create(self, spec: RunSpec) -> Run:
        """The run of this spec, also if it existed before. Its answers are checked as those of a request are."""
        if spec.execution.options.answers_interrupt:
            spec = await ProtocolAnswers(self.pipeline, self.keys).check(spec)
        return (await self.creator.create(spec)).run

    async def claim(self, limit: int = 100, worker: str = "w", lease_ms: int = LEASE_MS) -> list[Run]:
        """Claims due runs for a worker, which also exchanges slots of concurrency groups between shards."""
        claimed: list[Run] = []
        exchange = GroupExchange(self.pipeline, self.shards)
        for _ in range(_EXCHANGES):
            exchanges = 0
            for shard, queue in enumerate(self.queues):
                if len(claimed) == limit:
                    return claimed
                found = await queue.run_claim(worker, limit - len(claimed), lease_ms)
                claimed += map(run_from, found.runs)
                for group, until_ms in found.exchanges:
                    await exchange.exchange(group, [shard], until_ms=until_ms)
                    exchanges += 1
            if not exchanges:
                break
        return claimed

    async def claim_one(self, **options: Any) -> Run:
        """Claims the only run that is due."""
        (run,) = await self.claim(**options)
        return run

    def attempt(self, run: Run, limits: SendLimits = DEFAULT_LIMITS) -> AttemptWriter:
        """The attempt of a claimed run."""
        return AttemptWriter(self.scripts, run, limits=limits)

    async def settle(self, run: Run, phase: Phase = Phase.COMPLETED, **differs: Any) -> SettleResult:
        """Settles a claimed run; `differs` are arguments of `settlement`."""
        return await self.attempt(run).settle(settlement(run, phase, **differs))

    async def reap(self, worker: str = "w", pause_ms: int = 0) -> list[tuple[str, int, str]]:
        """Reclaims all runs of a worker, as the reaper does after the worker's leases expired."""
        reaped = [await queue.run_reap(event_ttl_s=TTL_S, pause_ms=pause_ms, worker=worker) for queue in self.queues]
        return plain(list(itertools.chain.from_iterable(each.runs for each in reaped)))

    async def trash_entries(self) -> list[tuple[str, bytes]]:
        """The entries of the trash: thread and time of deletion."""
        scripts = TrashScripts(self.pipeline, self.shards)
        return [each for keys in self.shards.threads for each in await scripts.entries(keys, 0, 9)]

    async def reload(self, run: Run) -> Run:
        """The stored record of a run."""
        return await self.runs.find(run.run_id)

    async def phase_of(self, run: Run) -> Phase:
        """The stored phase of a run."""
        return (await self.reload(run)).phase

    async def thread_of(self, run: Run) -> Thread:
        """The stored thread of a run."""
        return await self.threads.get(run.thread_id)

    async def log_of(self, run: Run | str) -> list[Event]:
        """All events of a run, which may be named by its id."""
        return await self.events.read(run if isinstance(run, str) else run.run_id, count=100_000)

    async def event_names(self, run: Run | str) -> list[str]:
        """The names of all events of a run."""
        return [event.name for event in await self.log_of(run)]

    async def dump(self) -> dict[str, Any]:
        """All data under the prefix except times of change: between two equal dumps nothing has changed."""
        values: dict[str, Any] = {}
        for keys in self.shards.every:
            values |= await dump(self.pipeline, keys)
        return values


async def dump(pipeline: Pipeline, keys: Keys) -> dict[str, Any]:
    """Key to value for all keys of a shard, except times of change and the keys that every heartbeat changes."""
    values: dict[str, Any] = {}
    keys = Keys(keys.prefix)
    for key in await pipeline.send("KEYS", f"{keys.prefix}:*"):
        name = key.decode()
        redis_type = (await pipeline.send("TYPE", key)).decode()
        if name in (keys.threads, keys.workers, keys.named("waiting_workers")):
            continue
        if redis_type == "hash":
            flat = await pipeline.send("HGETALL", key)
            values[name] = {f: v for f, v in zip(flat[::2], flat[1::2], strict=True) if f not in TIMES_OF_CHANGE}
        elif redis_type == "stream":
            values[name] = await pipeline.send("XRANGE", key, "-", "+")
        elif redis_type == "zset":
            members = await pipeline.send("ZRANGE", key, 0, -1)
            values[name] = sorted(members) if name.startswith(f"{keys.threads}:") else members  # scores change
        elif redis_type == "set":
            values[name] = sorted(await pipeline.send("SMEMBERS", key))
        else:
            values[name] = await pipeline.send("GET", key)
    return values


def new_run(thread_id: str, **differs: Any) -> RunSpec:
    """A run as the API prepares it. `options` and `ceilings` name the members that are not at their default; every
    other name is a field of the run's identity, execution or behaviour."""
    options = RunOptions(**{"input": {"value": 1}} | differs.pop("options", {}))
    fields: dict[str, Any] = {
        "run_id": run_id_on(thread_id, new_id()),
        "thread_id": thread_id,
        "assistant_id": new_id(),
        "graph_id": "steps",
        "options": options,
        "ceilings": ceilings(**differs.pop("ceilings", {})),
    } | differs

    def fields_of(record: type[RunIdentity | RunExecution | RunBehaviour]) -> dict[str, Any]:
        return {field.name: fields.pop(field.name) for field in dataclasses.fields(record) if field.name in fields}

    identity, execution = RunIdentity(**fields_of(RunIdentity)), RunExecution(**fields_of(RunExecution))
    spec = RunSpec(identity, execution, RunBehaviour(**fields_of(RunBehaviour)))
    assert not fields, f"a run has no fields with these names: {fields}"
    return spec


def ceilings(**lower: float) -> dict[str, float]:
    """The default ceilings, except those in `lower`."""
    return ceilings_of(Settings(), {}, lower)


def settlement(
    run: Run,
    phase: Phase = Phase.COMPLETED,
    *,
    usage: str = "{}",
    result: str = "{}",
    values: str | None = None,
    rollback: bool = False,
) -> Settlement:
    """The end of a run as its attempt reports it."""
    error = (
        RunError("node.failed", '{"error":"E","code":"node.failed"}', '{"error":"E"}')
        if phase is Phase.FAILED
        else None
    )
    status = "interrupted" if phase is Phase.WAITING_FOR_APPROVAL else "idle"
    return Settlement(
        phase,
        usage=usage,
        event_ttl_s=TTL_S,
        result=result.encode(),
        error=error,
        thread=ThreadSummary(
            None if values is None else values.encode(),
            "" if values is None else value_terms(None, values),
            b"{}",
            status,
        ),
        rollback=rollback,
    )


def plain(reclaimed: Sequence[ReclaimedRun]) -> list[tuple[str, int, str]]:
    """The id of each run, its lost attempt, and what became of it."""
    return [(each.run_id, each.attempt, each.outcome.value) for each in reclaimed]


def handover(run: Run, *, delay_ms: int = 0, usage: str = "{}") -> Release:
    """The release of a run as its attempt reports it."""
    return Release(reason="released", usage=usage, delay_ms=delay_ms)


@asynccontextmanager
async def opened(
    url: str,
    keys: Keys,
    *,
    patience_s: float = 5,
    subscriber_url: str | None = None,
    large: Callable[[], ServerPipeline] | None = None,
    one_queue: bool = False,
) -> AsyncIterator[Stores]:
    """Stores with an own pipeline and an own subscriber, as another process has them."""
    pipeline: Pipeline
    if large is None:
        pipeline = pipeline_to(Address(url), "test", patience_s=patience_s)
    else:
        pipeline = ServerPipeline(Address(url), "test", patience_s=patience_s, large=large)
    subscriber = subscriber_to(Address(subscriber_url or url), "test subscriber")
    blocking = BlockingCalls(Address(url), "test blocking calls", patience_s=patience_s)
    await pipeline.open()
    await subscriber.open()
    shards = shards_of(keys)
    scripts, checkpointer = RunScripts(pipeline, shards), CoreCheckpointer(pipeline, shards)
    trash, queues = Trash(pipeline, shards, checkpointer), PerShard(shards, partial(QueueScripts, pipeline))
    try:
        yield Stores(
            pipeline=pipeline,
            blocking=blocking,
            shards=shards,
            keys=keys,
            scripts=scripts,
            queues=queues,
            thread_scripts=ThreadScripts(pipeline, shards),
            runs=RunStore(pipeline, keys, scripts, event_ttl_s=TTL_S),
            creator=RunCreator(
                pipeline,
                shards,
                scripts,
                trash,
                admission=Admission(pipeline, queues, 0.85),
                event_ttl_s=TTL_S,
                lease_ms=LEASE_MS,
            ),
            threads=ThreadStore(pipeline, shards, checkpointer, trash),
            subscriber=subscriber,
            events=EventLog(pipeline, keys, subscriber),
            checkpointer=checkpointer,
            trash=trash,
            one_queue=one_queue,
        )
    finally:
        await blocking.close()
        await subscriber.close()
        await pipeline.close()


@pytest.fixture
async def stores(valkey_url: str, keys: Keys, request: pytest.FixtureRequest) -> AsyncIterator[Stores]:
    """Stores on the session's Valkey under the prefix of this test."""
    one_queue = request.node.get_closest_marker("one_queue") is not None
    async with opened(valkey_url, keys, one_queue=one_queue) as stores:
        yield stores


graphs = graphs_of(PROJECT)
project = module_of("./graphs.py:fail")


def settings_of(url: str, keys: Keys, **differs: Any) -> Settings:
    """Settings of a process that serves the project of this folder."""
    return Settings.from_values({"redis_url": url, "key_prefix": keys.prefix, "config": PROJECT} | differs)
