"""Processes are killed while a cron is due every second, also between the two scripts of an operation."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Mapping
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any

import httpx
import pytest
from langgraph_sdk import get_client
from langgraph_sdk.client import LangGraphClient

from slipway import failpoints
from tests.crash.cluster import Cluster, running
from tests.waiting import wait_until

KILLS = 4
STEP = {"upto": 1, "pause_s": 0}


async def create_cron(sdk: LangGraphClient, thread: str | None, **differs: Any) -> str:
    """A cron that is due every second."""
    options: Any = {"schedule": "* * * * * *", "input": STEP} | differs
    cron: Any = (
        await sdk.crons.create("steps", **options)
        if thread is None
        else await sdk.crons.create_for_thread(thread, "steps", **options)
    )
    return str(cron["cron_id"])


async def runs_on(cluster: Cluster, thread: str) -> int:
    return int(await cluster.pipeline.send("ZCARD", cluster.keys.thread_runs(thread), repeatable=True))


async def check_each_due_time_has_one_run(sdk: LangGraphClient, thread: str, at_least: int) -> None:
    """Each due time has one run, or is counted as missed by the run before it."""
    runs = await sdk.runs.list(thread, limit=1000)
    due_times = sorted(_due_and_missed(run["metadata"] or {}) for run in runs)
    assert len(due_times) >= at_least
    for (due, missed), (following, _) in pairwise(due_times):
        assert following == due + timedelta(seconds=1 + missed)


def _due_and_missed(metadata: Mapping[str, Any]) -> tuple[datetime, int]:
    return datetime.fromisoformat(metadata["cron_due"]), metadata.get("cron_missed", 0)


async def test_each_due_time_has_one_run_or_is_counted_as_missed() -> None:
    async with running(webs=1, workers=2) as cluster, get_client(url=cluster.webs[0].url, api_key=None) as sdk:
        thread = (await sdk.threads.create())["thread_id"]
        cron_id = await create_cron(sdk, thread)
        await wait_until(lambda: runs_on(cluster, thread))
        for number in range(KILLS):
            victim, before = cluster.workers[number % 2], await runs_on(cluster, thread)
            await victim.kill()
            await asyncio.sleep(0.3 * number)  # each restart is at another fraction of a second, which is the interval
            victim.start()

            async def has_more_runs(count: int = before) -> bool:
                return await runs_on(cluster, thread) > count

            await wait_until(has_more_runs)
        await sdk.crons.delete(cron_id)
        await check_each_due_time_has_one_run(sdk, thread, KILLS + 1)


async def test_a_worker_that_is_killed_after_it_created_a_run_leaves_a_due_time_with_one_run() -> None:
    async with running(webs=1) as cluster, get_client(url=cluster.webs[0].url, api_key=None) as sdk:
        thread = (await sdk.threads.create())["thread_id"]
        crons = [await create_cron(sdk, thread), await create_cron(sdk, None)]
        killed = await cluster.start_worker("due_run_created")
        await killed.wait_for_exit()
        created = await runs_on(cluster, thread)
        await cluster.start_worker()
        await cluster.start_worker()

        async def goes_on() -> bool:
            return await runs_on(cluster, thread) >= created + 2

        await wait_until(goes_on)
        for cron_id in crons:
            await sdk.crons.delete(cron_id)
        await check_each_due_time_has_one_run(sdk, thread, created + 2)
        on_thread = {run["run_id"] for run in await sdk.runs.list(thread, limit=1000)}
        stateless = cluster.effects.by_run().keys() - on_thread
        assert stateless
        executed = Counter(effect.run for effect in cluster.effects.all() if effect.event == "begin")
        assert {executed[run_id] for run_id in stateless} == {1}


async def test_the_crons_of_a_thread_create_no_run_when_the_process_that_deleted_it_is_killed() -> None:
    async with running(webs=1, workers=1, reconcile_every_s=1) as cluster:
        doomed = cluster.add_web()
        doomed.start(**{failpoints.VARIABLE: "thread_deleted"})
        await doomed.wait_until_ready()
        async with get_client(url=cluster.webs[0].url, api_key=None) as sdk:
            thread = (await sdk.threads.create())["thread_id"]
            await create_cron(sdk, thread)
            await create_cron(sdk, thread, enabled=False)
            await wait_until(lambda: runs_on(cluster, thread))
            async with httpx.AsyncClient(base_url=doomed.url) as client:
                with pytest.raises(httpx.TransportError):
                    await client.delete(f"/threads/{thread}")
            await doomed.wait_for_exit()
            await sdk.threads.create(thread_id=thread)

            async def has_no_crons() -> bool:
                return await sdk.crons.search() == []

            await wait_until(has_no_crons)
            assert await sdk.runs.list(thread) == []
