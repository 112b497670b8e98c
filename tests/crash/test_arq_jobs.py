"""arq jobs and runs that start each other, while one worker drains and another one is killed."""

from __future__ import annotations

import asyncio
import signal
import uuid
from collections import Counter, defaultdict
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from arq.connections import RedisSettings, create_pool
from arq.jobs import Job

from tests.crash.clients import Client, Reader
from tests.crash.cluster import Cluster, Process
from tests.crash.effects import Effect
from tests.crash.shared_cluster import SharedCluster
from tests.waiting import wait_until

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(120)]

ORDERS = 18


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shared() -> AsyncIterator[SharedCluster]:
    project = Path(__file__).with_name("arq_project") / "langgraph.json"
    async with SharedCluster(webs=1, workers=2, arq_workers=1, project=project, drain_s=20) as shared:
        yield shared


def begun(cluster: Cluster, task: str) -> list[Effect]:
    return [effect for effect in cluster.effects.all() if (effect.task, effect.event) == (task, "begin")]


def times_done(cluster: Cluster, task: str) -> Counter[str]:
    """How often each job was done."""
    return Counter(e.run for e in cluster.effects.all() if (e.task, e.event) == (task, "done"))


def by_busyness(cluster: Cluster) -> list[Process]:
    """The workers, first the one that executes the most jobs of orders."""
    counts = Counter(effect.pid for effect in begun(cluster, "ship"))
    return sorted(cluster.workers, key=lambda worker: -counts[worker.pid])


async def test_each_job_and_each_run_ends_once_while_workers_drain_and_die(cluster: Cluster, client: Client) -> None:
    gate, threads = cluster.gate(), [str(uuid.uuid4()) for _ in range(ORDERS)]
    runs = await asyncio.gather(*(client.start("order", {"gate": str(gate)}, thread) for thread in threads))
    await wait_until(lambda: len(begun(cluster, "ship")) == ORDERS)
    await wait_until(lambda: len(times_done(cluster, "tick")) >= 2)

    drained, killed, _ = by_busyness(cluster)
    begun_by = defaultdict[int, set[str]](set)
    for effect in begun(cluster, "ship"):
        begun_by[effect.pid].add(effect.run)
    drained_pid, killed_pid = drained.pid, killed.pid
    drained.signal(signal.SIGTERM)
    await wait_until(lambda: drained.count_logged("arq.draining"))
    await killed.kill()
    # by arq's rule the jobs of the killed worker begin again when their in-progress keys have expired
    for job_id in begun_by[killed_pid]:
        assert await cluster.pipeline.send("PEXPIRE", f"arq:in-progress:{job_id}", 1) == 1
    gate.touch()
    assert await drained.wait_for_exit(30) == 0
    assert drained.count_logged("process.code_left") == 1
    assert begun_by[drained_pid] <= set(times_done(cluster, "ship")), "it waited for its jobs"

    readers = [Reader(run_id) for run_id in runs]
    await asyncio.gather(*(reader.follow(client.urls, thread) for reader, thread in zip(readers, threads, strict=True)))
    for thread, run_id in zip(threads, runs, strict=True):
        record = await client.thread(thread)
        assert (record["status"], record["values"]["text"]) == ("idle", f"ship-{run_id}")
    assert times_done(cluster, "ship") == Counter({f"ship-{run_id}": 1 for run_id in runs})
    times_begun = Counter(effect.run for effect in begun(cluster, "ship"))
    again = begun_by[killed_pid]
    assert times_begun == Counter({f"ship-{run_id}": 2 if f"ship-{run_id}" in again else 1 for run_id in runs})

    ticks = len(times_done(cluster, "tick"))
    await wait_until(lambda: len(times_done(cluster, "tick")) >= ticks + 2)
    assert max(Counter(effect.run for effect in begun(cluster, "tick")).values()) == 1, "cron jobs have one try"
    await assert_results(cluster, {tick.run for tick in begun(cluster, "tick") if tick.pid != killed_pid})


async def assert_results(cluster: Cluster, job_ids: set[str]) -> None:
    """The result of each of these jobs is what its run returned: its id."""
    pool = await create_pool(RedisSettings(unix_socket_path=str(cluster.socket)))
    try:
        for job_id in job_ids:
            assert await Job(job_id, pool).result(timeout=5, poll_delay=0.05) == job_id
    finally:
        await pool.aclose()
