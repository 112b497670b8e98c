"""Duties beside the runs: one that fails is told of, and stops nothing."""

from __future__ import annotations

import asyncio

from structlog.testing import capture_logs

from slipway.duties import looked, repeat
from slipway.errors import StoreUnavailable
from slipway.graphs.registry import Registry
from slipway.redis.keys import Keys
from slipway.redis.pipeline import Pipeline
from slipway.runs.record import Phase
from tests.conftest import Eventually
from tests.runs.conftest import Stores, settings_of
from tests.working import working


async def test_a_round_that_fails_is_told_and_the_next_one_comes() -> None:
    rounds: list[int] = []
    enough = asyncio.Event()

    async def look() -> None:
        rounds.append(len(rounds))
        if len(rounds) == 1:
            raise StoreUnavailable("Redis is away")
        if len(rounds) == 2:
            raise ValueError("a record that nobody foresaw")
        enough.set()

    with capture_logs() as lines:
        duty = asyncio.create_task(repeat("tidy", 0.001, look))
        async with asyncio.timeout(30):
            await enough.wait()
        duty.cancel()
    assert [(line["event"], line["duty"], line["log_level"]) for line in lines] == [
        ("duty.skipped", "tidy", "warning"),
        ("duty.broke", "tidy", "error"),
    ]


async def test_a_round_says_whether_it_was_done() -> None:
    async def well() -> None: ...

    async def badly() -> None:
        raise RuntimeError

    with capture_logs():
        assert (await looked("tidy", well), await looked("tidy", badly)) == (True, False)


async def test_a_worker_whose_duty_breaks_goes_on_with_its_runs(
    valkey_url: str, keys: Keys, pipeline: Pipeline, stores: Stores, graphs: Registry, eventually: Eventually
) -> None:
    await pipeline.send("SET", keys.crons_due, "not a sorted set")
    with capture_logs() as lines:
        async with working(settings_of(valkey_url, keys), graphs):
            await eventually(lambda: any(line["event"] == "duty.broke" for line in lines))
            run = await stores.run(await stores.thread())

            async def completed() -> bool:
                return await stores.phase(run) is Phase.COMPLETED

            await eventually(completed)
