"""A worker is killed while a client follows the event protocol: each event is sent exactly once."""

from __future__ import annotations

import asyncio
import uuid
from typing import Any

import httpx
import pytest

from tests.crash.cluster import Cluster, running
from tests.events.conftest import ALL_CHANNELS, data_of, event_stream, is_completed, receive_until, start_run

UPTO = 12


async def _replayed(client: httpx.AsyncClient, thread: str) -> list[dict[str, Any]]:
    async with event_stream(client, thread) as events:
        return await receive_until(events, is_completed)


@pytest.mark.parametrize("failpoint", ["superstep:3", "checkpoint:4", "before_settle", "after_settle"])
async def test_a_client_of_the_event_protocol_receives_each_event_once(failpoint: str) -> None:
    async with running(webs=1, workers=0) as cluster:
        await _assert_each_event_once(cluster, failpoint)


async def _assert_each_event_once(cluster: Cluster, failpoint: str) -> None:
    doomed = await cluster.start_worker(failpoint)
    thread = str(uuid.uuid4())
    async with httpx.AsyncClient(base_url=cluster.webs[0].url, timeout=30) as client:
        async with event_stream(client, thread, channels=ALL_CHANNELS) as events:
            following = asyncio.create_task(receive_until(events, is_completed))
            await start_run(client, thread, "steps", input={"upto": UPTO, "pause_s": 0.02})
            await doomed.wait_for_exit(within_s=30)
            await cluster.start_worker()
            live = await following
        assert await _replayed(client, thread) == live
        numbers = [event["seq"] for event in live]
        assert numbers == list(range(numbers[0], numbers[0] + len(live)))
        assert len({event["event_id"] for event in live}) == len(live)
        counts = [values["count"] for values in data_of(live, "values") if "count" in values]
        assert counts == list(range(1, UPTO + 1))
        half = live[len(live) // 2]["seq"]
        async with event_stream(client, thread, since=half) as events:
            assert await receive_until(events, is_completed) == [event for event in live if event["seq"] > half]
