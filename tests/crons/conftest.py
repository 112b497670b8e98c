"""A web process, and the services of a worker whose rounds the tests start. Crons become due because their stored due
time is set to the past."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from slipway.graphs.registry import Registry
from slipway.redis.keys import Keys
from slipway.redis.pipeline import Pipeline
from slipway.services import Services, open_services
from slipway.settings import Settings
from tests.http.conftest import client, graphs, sdk, served, settings, worker
from tests.waiting import wait_until

__all__ = ["client", "graphs", "sdk", "served", "settings", "worker"]

MINUTE_MS = 60_000
LONGEST_TEST_S = 3
"""How long a test takes after its cron is due."""


@pytest.fixture
async def services(settings: Settings, graphs: Registry) -> AsyncIterator[Services]:
    """The services of a worker without duties."""
    async with open_services(settings, graphs, "worker") as services:
        yield services


class DueTimes:
    """Sets the due times of crons."""

    def __init__(self, pipeline: Pipeline, keys: Keys) -> None:
        self._pipeline, self._keys = pipeline, keys

    async def make_due(self, cron_id: str, minutes_ago: int = 0) -> int:
        """Sets the next due time to the last full minute, or to `minutes_ago` minutes before it. Returns it in ms.
        Shortly before the next full minute it waits for that one, because the due time after this one must not come
        during the test."""
        await wait_until(self._is_early_in_the_minute)
        seconds, _ = await self._pipeline.send("TIME")
        due_ms = (int(seconds) // 60 - minutes_ago) * MINUTE_MS
        await self._pipeline.send("HSET", self._keys.cron(cron_id), "next_ms", due_ms)
        await self._pipeline.send("ZADD", self._keys.crons_due, due_ms, cron_id)
        return due_ms

    async def _is_early_in_the_minute(self) -> bool:
        seconds, _ = await self._pipeline.send("TIME")
        return int(seconds) % 60 < 60 - LONGEST_TEST_S


@pytest.fixture
def due_times(services: Services) -> DueTimes:
    return DueTimes(services.pipeline, services.shards.crons)
