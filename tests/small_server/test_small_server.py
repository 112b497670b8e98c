"""A burst on a Redis of 25 MB stays below the high-water mark, and the service continues when memory is free."""

from __future__ import annotations

import asyncio

import pytest

from tests.small_server.burst import (
    ALLOWED_OVER,
    HIGH_WATER,
    MAX_BYTES,
    burst,
    seconds_until_accepted,
    small_server,
)

pytestmark = [pytest.mark.processes, pytest.mark.slow]


async def test_a_burst_stays_below_the_high_water_mark_and_no_run_in_progress_is_refused_a_write() -> None:
    async with small_server(webs=1, workers=1) as (cluster, probe):
        room = 1024 * 1024
        filler = int(HIGH_WATER * MAX_BYTES) - await probe.sample() - room
        await cluster.pipeline.send("SETRANGE", "filler", filler, "x")
        running = asyncio.create_task(burst(cluster, probe, "small", clients=16, seconds=5, rejections=16))
        await asyncio.wait({running}, timeout=6)
        await cluster.pipeline.send("DEL", "filler")  # runs that were accepted and wait for memory start now
        result = await running
        assert result.rejected >= 16
        assert len(result.accepted) > 5
        assert result.phases == {"completed": len(result.accepted)}
        assert not result.other
        assert result.peak_ratio <= HIGH_WATER + ALLOWED_OVER
        assert await probe.rejected() == 0
        assert await seconds_until_accepted(cluster, "small") < 10
