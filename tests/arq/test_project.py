"""Nodes and the host app enqueue jobs, and jobs start runs, in the web process and in a worker."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
import structlog
from arq.jobs import Job
from langgraph_sdk import get_client
from structlog.testing import capture_logs

import slipway.arq
from slipway.graphs.registry import Registry
from slipway.redis.keys import Keys
from slipway.redis.pipeline import Pipeline
from slipway.settings import Settings
from tests.http.conftest import Served, served, worker
from tests.waiting import wait_until
from tests.worker import running_worker

__all__ = ["served", "worker"]


@pytest.fixture
async def sdk(served: Served) -> AsyncIterator[Any]:
    async with get_client(url=served.url, api_key=None, headers={"Authorization": "secret"}) as client:
        yield client


@pytest.mark.usefixtures("worker")
@pytest.mark.parametrize("graph", ["notify", "notify_inline"])
async def test_a_node_enqueues_a_job_and_waits_for_its_result(sdk: Any, graph: str) -> None:
    values = await sdk.runs.wait(None, graph, input={"name": graph})
    assert values["greeting"] == f"hello {graph}"


@pytest.mark.usefixtures("worker")
async def test_a_sync_node_enqueues_a_job(sdk: Any) -> None:
    values = await sdk.runs.wait(None, "notify_sync", input={"name": "ada"})
    job = Job(values["job_id"], slipway.arq.pool(), slipway.arq.pool().default_queue_name)
    assert await job.result(timeout=20, poll_delay=0.02) == "hello ada"


@pytest.mark.usefixtures("worker")
async def test_the_host_app_enqueues_jobs(served: Served) -> None:
    async with httpx.AsyncClient(base_url=served.url, headers={"Authorization": "secret"}) as client:
        jobs = (await client.get("/greet/grace")).json()
    queue = slipway.arq.pool().default_queue_name
    results = [Job(jobs[name], slipway.arq.pool(), queue).result(timeout=20, poll_delay=0.02) for name in jobs]
    assert sorted(await asyncio.gather(*results)) == ["hello grace", "hello lifespan"]


@pytest.mark.usefixtures("worker")
async def test_a_job_starts_runs_without_a_user(served: Served) -> None:
    job = await slipway.arq.pool().enqueue_job("double_by_runs", 21)
    assert job is not None
    result = await job.result(timeout=20, poll_delay=0.02)
    assert (result["stateless"], result["on_thread"]) == (42, 42)
    assert result["events"][0] == "metadata"
    assert "values" in result["events"]
    async with httpx.AsyncClient(base_url=served.url) as client:
        assert (await client.post("/threads", json={})).status_code == 401, "the auth file applies to other clients"


async def test_a_function_that_blocks_the_event_loop_is_named(
    served: Served, settings: Settings, graphs: Registry
) -> None:
    release: Any = graphs.load_object("./tasks.py:release")
    with capture_logs() as logs:

        def release_when_reported(logger: object, method: str, line: Any) -> Any:
            if line["event"] == "event_loop.blocked":
                release.set()
            return line

        structlog.get_config()["processors"].insert(0, release_when_reported)
        async with running_worker(settings.model_copy(update={"event_loop_limit_s": 0.2}), graphs):
            job = await slipway.arq.pool().enqueue_job("block")
            assert job is not None
            await job.result(timeout=20, poll_delay=0.02)
    release.clear()
    [report] = [line for line in logs if line["event"] == "event_loop.blocked" and line.get("job")]
    assert (report["job"], report["function"]) == (job.job_id, "block")
    assert report["task"] == f"arq job block:{job.job_id}"
    assert report["where"][0].startswith("tasks.py:")


async def test_a_fault_of_the_application_is_a_finding_and_runs_continue(
    served: Served, sdk: Any, settings: Settings, graphs: Registry, pipeline: Pipeline, keys: Keys
) -> None:
    queue = slipway.arq.pool().default_queue_name
    kept = await pipeline.send("ZRANGE", queue, 0, -1, "WITHSCORES")
    await pipeline.send("SET", queue, "text")
    try:
        async with running_worker(settings, graphs):
            await wait_until(lambda: pipeline.send("EXISTS", keys.arq_fault))
            values = await sdk.runs.wait(None, "double", input={"number": 4})
            assert values["number"] == 8
        findings = (await served.services.health.measure()).findings
        [finding] = [each for each in findings if each.code == "arq.failing"]
        assert "jobs of slipway.arq do not execute in the worker" in finding.detail
        assert served.services.health.latest.ready
    finally:
        await pipeline.send("DEL", queue)
        for member, score in zip(kept[::2], kept[1::2], strict=True):
            await pipeline.send("ZADD", queue, score, member)
