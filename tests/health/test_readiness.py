"""/readyz, /metrics and the admission of new runs while the state of the Redis server changes."""

from __future__ import annotations

import asyncio
import contextlib
import re
from typing import Any

import httpx
import pytest
from structlog.testing import capture_logs

from slipway.clock import Clock
from slipway.graphs.registry import Registry
from slipway.health.findings import Level
from slipway.health.health import EVERY_S, RECHECK_S, HealthMonitor
from slipway.runs.record import new_id
from tests.crash.cluster import Cluster
from tests.health.conftest import settings_of
from tests.http.conftest import Served
from tests.shards import shards_of
from tests.waiting import Eventually
from tests.worker import running_worker

STEPS = {"assistant_id": "steps", "if_not_exists": "create"}


async def levels_by_code(client: httpx.AsyncClient) -> dict[str, str]:
    """The levels of the findings of /readyz by code. Checks that `ready` agrees with the status."""
    response = await client.get("/readyz")
    assert response.json()["ready"] == (response.status_code == 200)
    return {finding["code"]: finding["level"] for finding in response.json()["findings"]}


async def metric(client: httpx.AsyncClient, name: str) -> float:
    found = re.search(rf"^slipway_{name} (\S+)$", (await client.get("/metrics")).text, re.MULTILINE)
    assert found is not None, name
    return float(found[1])


async def create_run(client: httpx.AsyncClient, thread_id: str | None = None, **body: Any) -> httpx.Response:
    complete = STEPS | {"input": {"upto": 2}} | body
    return await client.post(f"/threads/{thread_id or new_id()}/runs", json=complete)


async def first_rejected_run(client: httpx.AsyncClient, eventually: Eventually) -> httpx.Response:
    """The response to the first run that is not created. After a change of `maxmemory`, the credit of the process and
    the measured room are used for a moment."""
    responses = [await create_run(client)]

    async def is_rejected() -> bool:
        if responses[-1].status_code == 200:
            responses.append(await create_run(client))
        return responses[-1].status_code == 503

    await eventually(is_rejected)
    return responses[-1]


async def set_memory_ratio(server: Cluster, ratio: float) -> None:
    """Set `maxmemory` so that the server uses this part of it."""
    info = (await server.pipeline.send("INFO", "memory")).decode()
    numbers = dict(re.findall(r"^(used_memory|mem_not_counted_for_evict):(\d+)\r?$", info, re.MULTILINE))
    used = int(numbers["used_memory"]) - int(numbers["mem_not_counted_for_evict"])
    await server.pipeline.send("CONFIG", "SET", "maxmemory", int(used / ratio))


async def test_a_missing_worker_is_a_warning_and_readyz_stays_ready(client: httpx.AsyncClient) -> None:
    response = await client.get("/readyz")
    assert response.status_code == 200
    assert response.json()["workers"] == 0
    assert await levels_by_code(client) == {"workers.none": "warning"}
    assert "slipway worker" in response.json()["findings"][0]["detail"]


async def test_metrics_count_jobs_workers_and_leases(
    server: Cluster, served: Served, client: httpx.AsyncClient, graphs: Registry, eventually: Eventually
) -> None:
    assert (await create_run(client)).status_code == 200
    assert (await create_run(client, after_seconds=60)).status_code == 200
    await served.services.health.measure()
    assert await metric(client, "queued_jobs") == 2
    assert await metric(client, "oldest_due_job_seconds") >= 0
    assert await metric(client, "store_probe_seconds") > 0
    assert str(await metric(client, "store_memory_ratio")) == "nan", "without a limit"
    await set_memory_ratio(server, 0.5)
    async with running_worker(settings_of(server), graphs):
        assert (await create_run(client, input={"upto": 1, "pause_s": 30})).status_code == 200

        async def measured() -> bool:
            await served.services.health.measure()
            workers, leases = await metric(client, "workers"), await metric(client, "leases")
            return (workers, leases, await metric(client, "queued_jobs")) == (1, 1, 1)

        await eventually(measured)
        assert 0.3 < await metric(client, "store_memory_ratio") < 0.7
        assert await levels_by_code(client) == {"ok": "ok"}
    assert await server.pipeline.send("KEYS", server.keys.pattern("probe")) == []


async def test_a_job_that_has_been_due_for_too_long_is_a_warning(
    server: Cluster, served: Served, client: httpx.AsyncClient
) -> None:
    job = f"{(await create_run(client)).json()['run_id']}:1"
    await server.pipeline.send("ZADD", server.keys.workers, 1e15, "a worker")

    async def measured_levels() -> dict[str, str]:
        await served.services.health.measure()
        return await levels_by_code(client)

    await server.pipeline.send("ZINCRBY", server.keys.queue, -30_000, job)
    assert await measured_levels() == {"ok": "ok"}
    await server.pipeline.send("ZINCRBY", server.keys.queue, -60_000, job)
    assert await measured_levels() == {"queue.late": "warning"}
    assert 90 <= await metric(client, "oldest_due_job_seconds") < 120


async def test_a_finding_is_logged_when_it_is_raised_and_when_it_is_cleared(
    server: Cluster,
) -> None:
    monitor = HealthMonitor(server.pipeline, shards_of(server.keys), settings_of(server), Clock())
    await server.pipeline.send("ZADD", server.keys.workers, 1e15, "a worker")
    with capture_logs() as lines:
        for policy in ("noeviction", "allkeys-lru", "allkeys-lru", "noeviction"):
            await server.pipeline.send("CONFIG", "SET", "maxmemory-policy", policy)
            await monitor.measure()
    logged = [(line["event"], code) for line in lines for code in line.get("codes", [line.get("code")])]
    assert ("health.finding_raised", "ok") not in logged
    assert [event for event, code in logged if code == "redis.evicts"] == [
        "health.finding_raised",
        "health.finding_cleared",
    ]


class FirstPause(Clock):
    """Records the length of the first pause and cancels the task that pauses."""

    def __init__(self) -> None:
        self.pause_s = 0.0

    async def sleep(self, seconds: float) -> None:
        self.pause_s = seconds
        raise asyncio.CancelledError


@pytest.mark.parametrize(("ratio", "pause_s"), [(0.5, EVERY_S), (0.8, RECHECK_S)], ids=["far", "near"])
async def test_memory_near_the_high_water_mark_is_measured_more_often(
    server: Cluster, ratio: float, pause_s: float
) -> None:
    clock = FirstPause()
    monitor = HealthMonitor(server.pipeline, shards_of(server.keys), settings_of(server, redis_high_water=0.85), clock)
    await set_memory_ratio(server, ratio)
    assert (await monitor.measure()).ready
    with contextlib.suppress(asyncio.CancelledError):
        await monitor.run()
    assert clock.pause_s == pause_s


async def test_a_failed_measurement_is_an_error_finding(server: Cluster) -> None:
    await server.pipeline.send("SET", server.keys.queue, "not a sorted set")
    measured = await HealthMonitor(server.pipeline, shards_of(server.keys), settings_of(server), Clock()).measure()
    assert {finding.code: finding.level for finding in measured.findings} == {"health.broken": Level.ERROR}
    assert not measured.ready


async def test_a_lost_connection_is_reported_at_once(
    server: Cluster, served: Served, client: httpx.AsyncClient, graphs: Registry, eventually: Eventually
) -> None:
    async with running_worker(settings_of(server), graphs):

        async def is_healthy() -> bool:
            await served.services.health.measure()
            return await levels_by_code(client) == {"ok": "ok"}

        await eventually(is_healthy)
        await server.valkey.kill()
        await eventually(lambda: not served.services.pipeline.connected)
        assert await levels_by_code(client) == {"redis.unavailable": "error"}
        services = {"redis": "down", "workers": "unknown"}
        assert (await client.get("/ok")).json() == {"ok": True, "services": services}
        checked = await client.get("/ok?check_db=1")
        assert (checked.status_code, checked.headers["retry-after"]) == (503, "1")
        body = checked.json()
        assert (body["ok"], body["services"], body["code"]) == (False, services, "store.unavailable")


async def test_healthz_asks_nothing_of_redis(
    server: Cluster, served: Served, client: httpx.AsyncClient, eventually: Eventually
) -> None:
    alive = {"alive": True}
    before = await _commands(server)
    for _ in range(50):
        assert (await client.get("/healthz")).json() == alive
    own = await _commands(server) - before
    assert own < 50, f"{own} commands, which are those of the health checks"
    await server.valkey.kill()
    await eventually(lambda: not served.services.pipeline.connected)
    response = await client.get("/healthz")
    assert (response.status_code, response.json()) == (200, alive)
    assert response.headers["cache-control"] == "no-store"


async def _commands(server: Cluster) -> int:
    """Calls of commands and scripts that the server has executed."""
    info = (await server.pipeline.send("INFO", "stats")).decode()
    found = re.search(r"^total_commands_processed:(\d+)", info, re.MULTILINE)
    assert found is not None
    return int(found[1])


async def test_an_eviction_policy_is_an_error_finding(
    server: Cluster, client: httpx.AsyncClient, eventually: Eventually
) -> None:
    await server.pipeline.send("CONFIG", "SET", "maxmemory-policy", "allkeys-lru")

    async def is_reported() -> bool:
        return (await levels_by_code(client)).get("redis.evicts") == "error"

    await eventually(is_reported)
    assert (await client.get("/readyz")).status_code == 503
    assert (await client.get("/ok")).status_code == 200
    await server.pipeline.send("CONFIG", "SET", "maxmemory-policy", "noeviction")

    async def is_ready() -> bool:
        return (await client.get("/readyz")).status_code == 200

    await eventually(is_ready)


async def test_new_runs_are_rejected_before_memory_is_full_and_other_requests_succeed(
    server: Cluster, served: Served, client: httpx.AsyncClient, graphs: Registry, eventually: Eventually
) -> None:
    async with running_worker(settings_of(server), graphs):
        interrupted, long, unused = new_id(), new_id(), new_id()
        body = {"assistant_id": "asks", "input": {"upto": 1}, "if_not_exists": "create"}
        assert "__interrupt__" in (await client.post(f"/threads/{interrupted}/runs/wait", json=body)).json()
        assert (await client.post("/threads", json={"thread_id": unused})).status_code == 200
        first = (await create_run(client, long, input={"upto": 40, "pause_s": 0.02})).json()
        cancelled = (await create_run(client, input={"upto": 1, "pause_s": 30})).json()

        await server.pipeline.send(
            "SETRANGE", "filler", 20_000_000, "x"
        )  # a tenth of the memory is enough for the runs
        await set_memory_ratio(server, 0.9)
        await served.services.health.measure()
        rejected = await first_rejected_run(client, eventually)
        assert int(rejected.headers["retry-after"]) >= 1
        error = rejected.json()
        assert error["code"] == "overloaded"
        assert 0.85 < error["memory_ratio"] < 1
        assert error["limit"] == 0.85
        assert f"{error['memory_ratio']:.1%}" in error["detail"]
        resume = {"assistant_id": "asks", "command": {"resume": 1}}
        rejected_answer = await client.post(f"/threads/{interrupted}/runs/wait", json=resume)
        assert rejected_answer.status_code == 503
        assert "resume" in rejected_answer.json()["detail"]
        assert await levels_by_code(client) == {"memory.high": "warning"}
        assert (await client.get("/readyz")).status_code == 200

        assert (await client.get(f"/threads/{interrupted}")).json()["status"] == "interrupted"
        path = f"/threads/{cancelled['thread_id']}/runs/{cancelled['run_id']}"
        assert (await client.post(f"{path}/cancel?wait=true")).status_code == 200
        assert (await client.delete(f"/threads/{unused}")).status_code == 204
        assert (await client.get(f"/threads/{long}/runs/{first['run_id']}/join")).json()["count"] == 40

        await server.pipeline.send("CONFIG", "SET", "maxmemory", 0)
        await served.services.health.measure()

        async def is_answered() -> bool:  # a measurement of the server that began before may end later
            return (await client.post(f"/threads/{interrupted}/runs/wait", json=resume)).status_code == 200

        await eventually(is_answered)
        assert (await client.get(f"/threads/{interrupted}/state")).json()["values"]["trail"] == [1, 1]


async def test_health_responses_cost_no_round_trips(served: Served, client: httpx.AsyncClient) -> None:
    pipeline = served.services.pipeline
    trips = []
    for _ in range(5):  # the health monitor may measure during one of them
        before = pipeline.round_trips
        assert (await create_run(client)).status_code == 200
        trips.append(pipeline.round_trips - before)
        before = pipeline.round_trips
        await client.get("/readyz")
        await client.get("/metrics")
        trips.append(pipeline.round_trips - before)
    assert (min(trips[::2]), min(trips[1::2])) == (1, 0)
