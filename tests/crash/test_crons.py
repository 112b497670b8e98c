"""Workers are killed while a cron is due every second: each due time has one run, or the next run counts it as
missed."""

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


async def test_each_due_time_has_one_run_or_is_counted_as_missed() -> None:
    async with running(webs=1, workers=2) as cluster, get_client(url=cluster.webs[0].url, api_key=None) as sdk:
        thread = (await sdk.threads.create())["thread_id"]
        cron = await sdk.crons.create_for_thread(
            thread, "steps", schedule="* * * * * *", input={"upto": 1, "pause_s": 0}
        )
        cron_id = cron["cron_id"]  # type: ignore[typeddict-item]

        async def run_count() -> int:
            return int(await cluster.pipeline.send("ZCARD", cluster.keys.thread_runs(thread), repeatable=True))

        await wait_until(run_count)
        loop = asyncio.get_running_loop()
        deadline = loop.time() + 40
        for number in range(KILLS):
            victim, before = cluster.workers[number % 2], await run_count()
            await victim.kill()
            await asyncio.sleep(0.3 * number)  # at a different fraction of the second each time
            victim.start()
            while await run_count() <= before:
                assert loop.time() < deadline
                await asyncio.sleep(0.05)
        await sdk.crons.delete(cron_id)
        runs = await sdk.runs.list(thread, limit=1000)
        due_times = sorted(_due_and_missed(run["metadata"] or {}) for run in runs)
        assert len(due_times) > KILLS
        for (due, missed), (following, _) in pairwise(due_times):
            assert following == due + timedelta(seconds=1 + missed)


def _due_and_missed(metadata: Mapping[str, Any]) -> tuple[datetime, int]:
    """The due time of a run, and the number of missed due times that it counts."""
    return datetime.fromisoformat(metadata["cron_due"]), metadata.get("cron_missed", 0)
