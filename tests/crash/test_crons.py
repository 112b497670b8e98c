"""Workers are killed while a cron is due every second: each due time has one run, or is counted by the run after it."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any

from langgraph_sdk import get_client

from tests.conftest import wait_until
from tests.crash.cluster import running

KILLS = 4


async def test_no_due_time_is_lost_or_doubled() -> None:
    async with running(webs=1, workers=2) as cluster, get_client(url=cluster.webs[0].url, api_key=None) as sdk:
        thread = (await sdk.threads.create())["thread_id"]
        cron = await sdk.crons.create_for_thread(
            thread, "steps", schedule="* * * * * *", input={"upto": 1, "pause_s": 0}
        )
        cron_id = cron["cron_id"]  # type: ignore[typeddict-item]

        async def made() -> int:
            return int(await cluster.pipeline.send("ZCARD", cluster.keys.thread_runs(thread), repeatable=True))

        await wait_until(made)
        loop = asyncio.get_running_loop()
        deadline = loop.time() + 40
        for number in range(KILLS):
            victim, before = cluster.workers[number % 2], await made()
            await victim.kill()
            await asyncio.sleep(0.3 * number)  # at another place of the second each time
            victim.start()
            while await made() <= before:
                assert loop.time() < deadline
                await asyncio.sleep(0.05)
        await sdk.crons.delete(cron_id)
        runs = await sdk.runs.list(thread, limit=1000)
        told = sorted(_due_and_missed(run["metadata"] or {}) for run in runs)
        assert len(told) > KILLS
        for (due, missed), (following, _) in pairwise(told):
            assert following == due + timedelta(seconds=1 + missed)


def _due_and_missed(metadata: Mapping[str, Any]) -> tuple[datetime, int]:
    """The due time that a run is for, and how many more it stands for."""
    return datetime.fromisoformat(metadata["cron_due"]), metadata.get("cron_missed", 0)
