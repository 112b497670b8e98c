"""The key that `arq --check` reads: which worker records it, and which deletes it."""

from __future__ import annotations

import asyncio
import platform
from pathlib import Path
from typing import Any

import pytest
from arq.worker import async_check_health
from structlog.testing import capture_logs

from slipway.environment_variables import variable_of
from slipway.errors import ConfigError
from slipway.redis.connect import pipeline_to
from slipway.redis.connection import Address
from slipway.redis.keys import Keys
from slipway.redis.pipeline import Pipeline
from slipway.runs.record import Run
from slipway.runs.worker_health import WorkerHealth
from slipway_workers import claims, settings
from tests.runs.claiming_workers import claiming_worker
from tests.runs.conftest import Stores
from tests.shards import shards_of
from tests.waiting import Eventually

OWN = f"{platform.node()}:1:own"


@pytest.mark.parametrize(
    ("live", "is_kept"),
    [(OWN, False), (f"{platform.node()}:2:other", True), (f"{platform.node()}-b:2:of_another_host", False)],
)
async def test_the_last_worker_of_a_host_deletes_the_record(
    pipeline: Pipeline, keys: Keys, live: str, is_kept: bool
) -> None:
    health = WorkerHealth(pipeline, shards_of(keys), OWN)
    await health.psetex(health.key, 60_000, b"alive")
    await pipeline.send("ZADD", shards_of(keys).processes.workers, 1, live)
    await health.delete(health.key)
    assert bool(await pipeline.send("EXISTS", health.key)) is is_kept


@pytest.mark.one_shard("its settings have one shard")
@pytest.mark.filterwarnings("ignore:Call to deprecated close:DeprecationWarning")
async def test_arq_finds_the_record_of_this_host(
    valkey_url: str, pipeline: Pipeline, keys: Keys, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = tmp_path / "langgraph.json"
    config.write_text('{"graphs": {"a": "./a.py:graph"}}')
    for setting, value in (("redis_url", valkey_url), ("key_prefix", keys.prefix), ("config", str(config))):
        monkeypatch.setenv(variable_of(setting), value)
    options = vars(settings.WorkerSettings)

    async def exit_code() -> int:
        return await async_check_health(options["redis_settings"], options["health_check_key"])

    assert await exit_code() == 1
    health = WorkerHealth(pipeline, shards_of(keys), OWN)
    await health.psetex(health.key, 60_000, b"alive")
    assert await exit_code() == 0
    monkeypatch.delenv(variable_of("redis_url"))
    with pytest.raises(ConfigError, match="SLIPWAY_REDIS_URL"):
        _ = settings.WorkerSettings


async def test_due_jobs_of_both_queues_are_counted(pipeline: Pipeline, keys: Keys) -> None:
    home = shards_of(keys).home
    await pipeline.send("ZADD", home.queue, 1, "a:1", 1, "b:1")
    await pipeline.send("ZADD", home.suspect_queue, 1, "c:2")
    assert await WorkerHealth(pipeline, shards_of(keys), OWN).zcard(home.queue) == 3


async def test_a_worker_records_while_it_has_no_free_slot_and_while_it_drains(
    valkey_url: str, stores: Stores, eventually: Eventually, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(claims, "HEALTH_EVERY_S", 0.05)
    started, gate = asyncio.Event(), asyncio.Event()

    async def execute(_: dict[str, Any], run: Run, claim_sent_at: float) -> None:
        started.set()
        await gate.wait()

    for _ in range(2):
        await stores.create_run()
    async with claiming_worker(valkey_url, stores, execute, OWN) as claiming:

        async def record() -> bytes:
            return bytes(await stores.pipeline.send("GETDEL", claiming.health.key) or b"")

        async def is_recorded() -> bool:
            return b"j_complete=0 j_failed=0 j_retried=0 j_ongoing=1 queued=1" in await record()

        await started.wait()
        await eventually(is_recorded, beside=claiming.task)
        claiming.worker.stop_claiming()
        await eventually(is_recorded, beside=claiming.task)
        gate.set()
        assert await claiming.worker.wait_until_idle(10)
        await eventually(record, beside=claiming.task)
    assert not await record()


async def test_an_idle_worker_counts_no_jobs(valkey_url: str, stores: Stores, eventually: Eventually) -> None:
    async def execute(_: dict[str, Any], run: Run, claim_sent_at: float) -> None:
        pass

    async with claiming_worker(valkey_url, stores, execute, OWN) as claiming:
        await eventually(lambda: claiming.health.pending() == (), beside=claiming.task)
        before = stores.pipeline.round_trips
        assert await claiming.health.zcard("") == 0
        assert stores.pipeline.round_trips == before


async def test_a_worker_whose_health_cannot_be_recorded_claims(
    valkey_url: str, stores: Stores, eventually: Eventually
) -> None:
    executed = asyncio.Event()

    async def execute(_: dict[str, Any], run: Run, claim_sent_at: float) -> None:
        executed.set()

    closed = pipeline_to(Address(valkey_url), "test health", patience_s=5)
    await closed.open()
    await closed.close()
    with capture_logs() as lines:
        async with claiming_worker(valkey_url, stores, execute, OWN, health_pipeline=closed) as claiming:
            await eventually(
                lambda: any(line["event"] == "health.not_recorded" for line in lines), beside=claiming.task
            )
            await stores.create_run()
            await eventually(executed.is_set, beside=claiming.task)
