"""Duties beside the runs: one that fails is logged, and stops nothing."""

from __future__ import annotations

import asyncio

from structlog.testing import capture_logs

from slipway.duties import Duty
from slipway.errors import StoreUnavailable
from slipway.graphs.registry import Registry
from slipway.redis.keys import Keys
from slipway.redis.pipeline import Pipeline
from slipway.runs.record import Phase
from tests.conftest import Eventually
from tests.runs.conftest import Stores, settings_of
from tests.working import working


class Tidy(Duty):
    """Fails in its first two rounds."""

    name = "tidy"

    def __init__(self) -> None:
        super().__init__(0.001)
        self.rounds = 0
        self.enough = asyncio.Event()

    async def run_once(self) -> None:
        self.rounds += 1
        if self.rounds == 1:
            raise StoreUnavailable("Redis is unavailable")
        if self.rounds == 2:
            raise ValueError("a record that nobody foresaw")
        self.enough.set()


async def test_a_round_that_fails_is_logged_and_the_next_one_comes() -> None:
    tidy = Tidy()
    with capture_logs() as lines:
        duty = asyncio.create_task(tidy.run())
        async with asyncio.timeout(30):
            await tidy.enough.wait()
        duty.cancel()
    assert [(line["event"], line["duty"], line["log_level"]) for line in lines] == [
        ("duty.skipped", "tidy", "warning"),
        ("duty.failed", "tidy", "error"),
    ]


async def test_a_round_returns_whether_it_was_done() -> None:
    tidy = Tidy()
    with capture_logs():
        assert [await tidy.run_round() for _ in range(3)] == [False, False, True]


async def test_run_soon_ends_the_pause_of_a_duty() -> None:
    tidy = Tidy()
    tidy.rounds, tidy.interval_s = 2, 3600
    duty = asyncio.create_task(tidy.run())
    tidy.run_soon()
    async with asyncio.timeout(30):
        await tidy.enough.wait()
    duty.cancel()


async def test_a_worker_whose_duty_breaks_goes_on_with_its_runs(
    valkey_url: str, keys: Keys, pipeline: Pipeline, stores: Stores, graphs: Registry, eventually: Eventually
) -> None:
    await pipeline.send("SET", keys.crons_due, "not a sorted set")
    with capture_logs() as lines:
        async with working(settings_of(valkey_url, keys), graphs):
            await eventually(lambda: any(line["event"] == "duty.failed" for line in lines))
            run = await stores.create_run()

            async def completed() -> bool:
                return await stores.phase_of(run) is Phase.COMPLETED

            await eventually(completed)
