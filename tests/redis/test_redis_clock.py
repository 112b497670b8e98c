"""The clock of Redis in a process whose own clock is wrong."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta

import pytest

from slipway.clock import Clock
from slipway.redis.pipeline import Pipeline
from slipway.redis.redis_clock import RedisClock

WRONG = datetime(2001, 2, 3, tzinfo=UTC)


@pytest.fixture
def wrong_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Clock, "now", lambda self: WRONG)


async def redis_time(pipeline: Pipeline) -> datetime:
    seconds, micros = await pipeline.send("TIME", repeatable=True)
    return datetime.fromtimestamp(int(seconds) + int(micros) / 1e6, UTC)


async def test_it_shows_the_time_of_redis(pipeline: Pipeline, wrong_clock: None) -> None:
    clock, began = RedisClock(), time.monotonic()
    await clock.measure(pipeline)
    before = await redis_time(pipeline)
    shown = clock.now()
    after = await redis_time(pipeline)
    inaccuracy = timedelta(seconds=time.monotonic() - began)
    assert before - inaccuracy <= shown <= after + inaccuracy


async def test_it_is_the_clock_of_the_host_until_it_is_measured(wrong_clock: None) -> None:
    assert RedisClock().now() == WRONG


async def test_a_measurement_costs_one_round_trip(pipeline: Pipeline) -> None:
    clock, trips = RedisClock(), pipeline.round_trips
    await clock.measure(pipeline)
    clock.now()
    assert pipeline.round_trips - trips <= 3
