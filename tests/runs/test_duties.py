"""A duty that fails is logged, and neither its next rounds nor the runs of its worker stop."""

from __future__ import annotations

import asyncio

import pytest
from structlog.testing import capture_logs

from slipway.duties.duty import Duty
from slipway.errors import StoreUnavailable
from slipway.graphs.registry import Registry
from slipway.redis.keys import Keys
from slipway.redis.pipeline import Pipeline
from slipway.runs.record import Phase
from tests.runs.conftest import Stores, settings_of
from tests.waiting import Eventually
from tests.worker import running_worker


class FailingDuty(Duty):
    """Fails in its first two rounds."""

    name = "test_duty"

    def __init__(self) -> None:
        super().__init__(0.001)
        self.rounds = 0
        self.succeeded = asyncio.Event()

    async def run_once(self) -> None:
        self.rounds += 1
        if self.rounds == 1:
            raise StoreUnavailable("Redis is unavailable")
        if self.rounds == 2:
            raise ValueError("an unexpected record")
        self.succeeded.set()


async def test_a_failed_round_is_logged_and_the_next_round_follows() -> None:
    duty = FailingDuty()
    with capture_logs() as lines:
        task = asyncio.create_task(duty.run())
        async with asyncio.timeout(30):
            await duty.succeeded.wait()
        task.cancel()
    assert [(line["event"], line["duty"], line["log_level"]) for line in lines] == [
        ("duty.skipped", "test_duty", "warning"),
        ("duty.failed", "test_duty", "error"),
    ]


class BrokenDuty(Duty):
    """Its rounds raise the texts of `faults`, and then succeed."""

    name = "broken_duty"

    def __init__(self, faults: list[str]) -> None:
        super().__init__(interval_s=0)
        self.faults = faults

    async def run_once(self) -> None:
        if fault := self.faults.pop(0):
            raise ValueError(fault)


async def test_the_same_fault_again_has_no_traceback() -> None:
    duty = BrokenDuty(["one", "one", "two", "", "two"])
    with capture_logs() as lines:
        for _ in range(5):
            await duty.run_round()
    assert [(line["problem"], line["exc_info"] is not None) for line in lines] == [
        ("ValueError: one", True),
        ("ValueError: one", False),
        ("ValueError: two", True),
        ("ValueError: two", True),
    ]


async def test_run_round_returns_whether_the_round_succeeded() -> None:
    duty = FailingDuty()
    with capture_logs():
        assert [await duty.run_round() for _ in range(3)] == [False, False, True]


async def test_run_soon_ends_the_pause_of_a_duty() -> None:
    duty = FailingDuty()
    duty.rounds, duty.interval_s = 2, 3600
    task = asyncio.create_task(duty.run())
    duty.run_soon()
    async with asyncio.timeout(30):
        await duty.succeeded.wait()
    task.cancel()


@pytest.mark.one_shard("its settings have one shard")
async def test_a_worker_whose_duty_fails_continues_to_execute_runs(
    valkey_url: str, keys: Keys, pipeline: Pipeline, stores: Stores, graphs: Registry, eventually: Eventually
) -> None:
    await pipeline.send("SET", keys.crons_due, "not a sorted set")
    with capture_logs() as lines:
        async with running_worker(settings_of(valkey_url, keys), graphs):
            await eventually(lambda: any(line["event"] == "duty.failed" for line in lines))
            run = await stores.create_run()

            async def is_completed() -> bool:
                return await stores.phase_of(run) is Phase.COMPLETED

            await eventually(is_completed)
