"""Processes are killed while runs change their phases: the deliveries to an endpoint are exactly these changes."""

from __future__ import annotations

import asyncio
from typing import Any, Final

import httpx
import pytest
from langgraph_sdk import get_client

from tests.crash.cluster import Cluster, running
from tests.waiting import wait_until
from tests.webhook_endpoints.phase_changes import created_events, recorded_phases

FAILPOINTS: Final = ("claim", "checkpoint", "before_settle", "after_settle", "release")
RUNS: Final = 4
FINAL: Final = ("success", "error", "interrupted", "timeout")


async def add_endpoint(cluster: Cluster) -> str:
    """An endpoint for everything, that cannot be reached: its deliveries stay."""
    async with httpx.AsyncClient(base_url=cluster.webs[0].url, timeout=30) as client:
        body = {"url": "https://hooks.example.com/", "types": ["*"]}
        response = await client.post("/ops/webhooks", json=body)
        assert response.status_code == 200, response.text
        return str(response.json()["endpoint_id"])


@pytest.mark.timeout(180)
async def test_no_delivery_is_lost_or_made_twice_when_workers_are_killed() -> None:
    async with running(webs=1) as cluster, get_client(url=cluster.webs[0].url, api_key=None) as sdk:
        endpoint = await add_endpoint(cluster)
        async with recorded_phases(cluster.redis_url, cluster.keys, cluster.pipeline) as changes:
            runs: list[Any] = []
            for failpoint in FAILPOINTS:
                thread = (await sdk.threads.create())["thread_id"]
                runs += [await sdk.runs.create(thread, "steps", input={"upto": 2, "pause_s": 0}) for _ in range(RUNS)]
                doomed = await cluster.start_worker(failpoint)
                if failpoint == "release":
                    await doomed.kill()
                else:
                    await doomed.wait_for_exit()
            cancelled = await sdk.runs.create((await sdk.threads.create())["thread_id"], "steps", input={"upto": 1})
            await sdk.runs.cancel(cancelled["thread_id"], cancelled["run_id"])
            await cluster.start_worker()

            async def have_ended() -> bool:
                found = await asyncio.gather(*(sdk.runs.get(run["thread_id"], run["run_id"]) for run in runs))
                return all(run["status"] in FINAL for run in found)

            await wait_until(have_ended, within_s=120)
        assert await created_events(cluster.pipeline, cluster.keys, endpoint) == changes.expected
        ended = [run_id for (run_id, kind), count in changes.expected.items() if kind == "run.completed" and count == 1]
        assert {run["run_id"] for run in runs} <= set(ended)
        again = [kind for (_, kind), count in changes.expected.items() if count > 1]
        assert "run.running" in again, "runs were executed again after a kill"
