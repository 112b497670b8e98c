"""Runs, threads, events and attempts on a real Valkey, and a worker in this process where a test asks for one."""

from __future__ import annotations

import dataclasses
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ormsgpack
import pytest

from slipway.ceilings import ceilings_of
from slipway.checkpoints.base_checkpointer import BaseCheckpointer
from slipway.checkpoints.core_checkpointer import CoreCheckpointer
from slipway.checkpoints.trash import Trash
from slipway.redis.connection import Address
from slipway.redis.keys import Keys
from slipway.redis.pipeline import Pipeline
from slipway.redis.subscriber import Subscriber
from slipway.run_options import RunOptions
from slipway.runs.attempt import DEFAULT_LIMITS, Attempt, SendLimits
from slipway.runs.creation import RunCreator
from slipway.runs.event_log import EventLog
from slipway.runs.events import Event
from slipway.runs.failure import RunError
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
from tests.project_fixtures import graphs_of

PROJECT = Path(__file__).parent / "project" / "langgraph.json"
LEASE_MS = 60_000
TTL_S = 600
VOLATILE = frozenset({b"updated_us", b"state_us", b"ended_us"})


@dataclass(frozen=True, slots=True)
class Stores:
    """What the API and the workers use, on one pipeline, and the moves of runs in one word each."""

    pipeline: Pipeline
    keys: Keys
    scripts: RunScripts
    thread_scripts: ThreadScripts
    runs: RunStore
    creator: RunCreator
    threads: ThreadStore
    subscriber: Subscriber
    events: EventLog
    checkpointer: BaseCheckpointer
    trash: Trash

    async def thread(self) -> str:
        """A new thread."""
        return (await self.threads.create_or_get(new_id(), {}))[0].thread_id

    async def run(self, thread_id: str, **differs: Any) -> Run:
        """A new run on a thread."""
        return await self.create(new_run(thread_id, **differs))

    async def create(self, spec: RunSpec) -> Run:
        """The run, new or not."""
        return (await self.creator.create(spec)).run

    async def claim(self, limit: int = 100, worker: str = "w", lease_ms: int = LEASE_MS) -> list[Run]:
        """What a worker gets."""
        _, claimed = await self.scripts.run_claim(worker, limit, lease_ms)
        return [run_from(held) for held in claimed]

    async def claim_one(self, **how: Any) -> Run:
        """The only run that is due."""
        (run,) = await self.claim(**how)
        return run

    def attempt(self, run: Run, limits: SendLimits = DEFAULT_LIMITS) -> Attempt:
        """The writer of a claimed run."""
        return Attempt(self.scripts, run, limits=limits)

    async def settle(self, run: Run, phase: Phase = Phase.COMPLETED, **differs: Any) -> SettleResult:
        """End a claimed run."""
        return await self.attempt(run).settle(settlement(run, phase, **differs))

    async def reap(self, worker: str = "w", pause_ms: int = 0) -> list[ReclaimedRun]:
        """Take back what `worker` holds."""
        return await self.scripts.run_reap(event_ttl_s=TTL_S, pause_ms=pause_ms, worker=worker)

    async def now(self, run: Run) -> Run:
        """The record as it is now."""
        return await self.runs.find(run.run_id)

    async def phase(self, run: Run) -> Phase:
        """Where the run stands now."""
        return (await self.now(run)).phase

    async def thread_of(self, run: Run) -> Thread:
        """The run's thread as it is now."""
        return await self.threads.get(run.thread_id)

    async def log(self, run: Run | str) -> list[Event]:
        """All events of a run."""
        return await self.events.read(run if isinstance(run, str) else run.run_id, count=100_000)

    async def names(self, run: Run | str) -> list[str]:
        """The names of all events of a run."""
        return [event.name for event in await self.log(run)]

    async def dump(self) -> dict[str, Any]:
        """Everything under the prefix but times of change: equal dumps, nothing has changed."""
        return await dump(self.pipeline, self.keys)


async def dump(pipeline: Pipeline, keys: Keys) -> dict[str, Any]:
    """Everything under a prefix but times of change."""
    held: dict[str, Any] = {}
    for key in await pipeline.send("KEYS", f"{keys.prefix}:*"):
        name = key.decode()
        kind = (await pipeline.send("TYPE", key)).decode()
        if name in (keys.threads, keys.workers, keys.worker_wake):
            continue
        if kind == "hash":
            flat = await pipeline.send("HGETALL", key)
            held[name] = {f: v for f, v in zip(flat[::2], flat[1::2], strict=True) if f not in VOLATILE}
        elif kind == "stream":
            held[name] = await pipeline.send("XRANGE", key, "-", "+")
        elif kind == "zset":
            held[name] = await pipeline.send("ZRANGE", key, 0, -1)
        elif kind == "set":
            held[name] = sorted(await pipeline.send("SMEMBERS", key))
        else:
            held[name] = await pipeline.send("GET", key)
    return held


def new_run(thread_id: str, **differs: Any) -> RunSpec:
    """A run as the API prepares it. `options` and `ceilings` differ from the usual ones in these members; every other
    name is a field of the run's identity, execution or behaviour."""
    options = RunOptions(**{"input": {"value": 1}} | differs.pop("options", {}))
    given: dict[str, Any] = {
        "run_id": new_id(),
        "thread_id": thread_id,
        "assistant_id": new_id(),
        "graph_id": "steps",
        "options": options,
        "ceilings": ceilings(**differs.pop("ceilings", {})),
    } | differs

    def part(of: type[RunIdentity | RunExecution | RunBehaviour]) -> dict[str, Any]:
        return {field.name: given.pop(field.name) for field in dataclasses.fields(of) if field.name in given}

    identity, execution = RunIdentity(**part(RunIdentity)), RunExecution(**part(RunExecution))
    spec = RunSpec(identity, execution, RunBehaviour(**part(RunBehaviour)))
    assert not given, f"not a field of a run: {given}"
    return spec


def ceilings(**lower: float) -> dict[str, float]:
    """The built-in ceilings, some of them lower."""
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
    """How an attempt ends its run."""
    error = RunError("node.failed", '{"error":"E"}', '{"error":"E"}') if phase is Phase.FAILED else None
    status = "interrupted" if phase is Phase.WAITING_FOR_APPROVAL else "idle"
    return Settlement(
        phase,
        usage=usage,
        event_ttl_s=TTL_S,
        result=result,
        error=error,
        thread=ThreadSummary(values, "{}", status),
        rollback=rollback,
    )


def handover(run: Run, *, delay_ms: int = 0, usage: str = "{}") -> Release:
    """How an attempt releases its run."""
    return Release(reason="released", usage=usage, delay_ms=delay_ms)


def unpacked(packed: bytes) -> Any:
    """A MessagePack message."""
    return ormsgpack.unpackb(packed)


@asynccontextmanager
async def opened(
    url: str, keys: Keys, *, patience_s: float = 5, listens_at: str | None = None
) -> AsyncIterator[Stores]:
    """Stores of a process of their own; `listens_at` is where its subscriber connects."""
    pipeline = Pipeline(Address(url), "test", patience_s=patience_s)
    subscriber = Subscriber(Address(listens_at or url), "test subscriber")
    await pipeline.open()
    await subscriber.open()
    scripts, checkpointer = RunScripts(pipeline, keys), CoreCheckpointer(pipeline, keys)
    trash = Trash(pipeline, keys, checkpointer)
    try:
        yield Stores(
            pipeline=pipeline,
            keys=keys,
            scripts=scripts,
            thread_scripts=ThreadScripts(pipeline, keys),
            runs=RunStore(pipeline, keys, scripts, event_ttl_s=TTL_S),
            creator=RunCreator(pipeline, keys, scripts, trash, event_ttl_s=TTL_S, lease_ms=LEASE_MS),
            threads=ThreadStore(pipeline, keys, checkpointer, trash),
            subscriber=subscriber,
            events=EventLog(pipeline, keys, subscriber),
            checkpointer=checkpointer,
            trash=trash,
        )
    finally:
        await subscriber.close()
        await pipeline.close()


@pytest.fixture
async def stores(valkey_url: str, keys: Keys) -> AsyncIterator[Stores]:
    """One process's stores."""
    async with opened(valkey_url, keys) as stores:
        yield stores


graphs = graphs_of(PROJECT)


def settings_of(url: str, keys: Keys, **differs: Any) -> Settings:
    """Settings for a process under test."""
    return Settings.of({"redis_url": url, "key_prefix": keys.prefix, "config": PROJECT} | differs)


def fields_of(flat: list[bytes]) -> Mapping[bytes, bytes]:
    """A flat reply as a mapping."""
    return dict(zip(flat[::2], flat[1::2], strict=True))
