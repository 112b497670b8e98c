"""A worker of `arq slipway_workers.settings.WorkerSettings`, and `arq --check` for it and for `slipway worker`."""

from __future__ import annotations

import json
import re
import signal
import uuid
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from langgraph_sdk import get_client

from slipway.processes import exit_codes
from slipway.redis.layout import LAYOUT
from slipway.runs.worker_health import health_key
from slipway_workers.claims import HEALTH_LIFETIME_S
from tests.crash.clients import Client, Reader
from tests.crash.cluster import Cluster, Process
from tests.crash.shared_cluster import SharedCluster
from tests.waiting import wait_until

pytestmark = [pytest.mark.processes, pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(120)]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shared() -> AsyncIterator[SharedCluster]:
    async with SharedCluster(webs=1, arq_workers=1, drain_s=3) as shared:
        yield shared


@pytest.fixture
def worker(cluster: Cluster) -> Process:
    """The worker of arq's command line."""
    return cluster.workers[0]


async def completes(cluster: Cluster, **graph_input: Any) -> bool:
    """Whether a run of one superstep, created with the SDK, completes."""
    async with get_client(url=cluster.webs[0].url, api_key=None) as sdk:
        result: Any = await sdk.runs.wait(None, "steps", input={"upto": 1, **graph_input})
    return bool(result["trail"] == [1])


async def is_recorded(cluster: Cluster) -> bool:
    """Whether the key that `arq --check` reads exists."""
    return bool(await cluster.pipeline.send("EXISTS", health_key(cluster.keys), repeatable=True))


async def test_it_works_as_slipway_worker_does(cluster: Cluster, worker: Process) -> None:
    assert await completes(cluster)
    assert Path(f"/proc/{worker.pid}/comm").read_text() == "slipway worker\n"
    clients = (await cluster.pipeline.send("CLIENT", "LIST", repeatable=True)).decode()
    names = [re.sub(r"[^ ]*:.*", "…", name) for name in re.findall(r" name=(\S*)", clients)]
    of_web_and_test = ["crash-test", "slipway-web", "slipway-web-subscriber"]
    own = ["slipway-worker", "slipway-worker-claims", "slipway-worker-subscriber"]
    assert sorted(names) == sorted([*of_web_and_test, *own, "…", "…"]), (
        "the renewers of leases have the id of the process"
    )


async def test_it_claims_again_after_redis_was_killed(cluster: Cluster, worker: Process) -> None:
    pid = worker.pid
    await cluster.valkey.kill()
    await wait_until(lambda: worker.count_logged("redis.still_unavailable"))
    await cluster.start_valkey()
    assert await completes(cluster)
    await wait_until(lambda: is_recorded(cluster))
    assert (worker.alive, worker.pid) == (True, pid)


async def test_a_check_succeeds_while_a_worker_claims(cluster: Cluster, worker: Process) -> None:
    code, output = await cluster.arq_check()
    assert (code, output.count("\n")) == (0, 1), output
    assert re.search(r"Health check successful: .* j_failed=0 j_retried=0 j_ongoing=0 queued=0'", output)
    worker.suspend()
    await wait_until(lambda: _is_missing(cluster), HEALTH_LIFETIME_S + 1)
    await worker.kill()
    assert (await cluster.arq_check())[0] == 1
    other = await cluster.start_worker()
    await wait_until(lambda: is_recorded(cluster))
    assert (await cluster.arq_check())[0] == 0
    other.signal(signal.SIGTERM)
    assert await other.wait_for_exit() == 0
    cluster.workers.remove(other)
    code, output = await cluster.arq_check()
    assert (code, output.count("\n")) == (1, 1), output
    assert "no health check sentinel value found" in output


async def _is_missing(cluster: Cluster) -> bool:
    return not await is_recorded(cluster)


async def test_a_run_of_a_worker_that_drains_continues_in_another_worker(
    cluster: Cluster, client: Client, worker: Process
) -> None:
    thread_id, gate = str(uuid.uuid4()), cluster.gate()
    run_id = await client.start("steps", {"until": str(gate), "pause_s": 0.1}, thread_id)
    await wait_until(lambda: cluster.effects.has_started(run_id, 2))
    worker.signal(signal.SIGTERM)
    assert await worker.wait_for_exit(25) == 0
    cluster.workers.remove(worker)
    assert_every_line_is_json(worker)
    released = await cluster.run(run_id)
    assert (released["phase"], released["uncounted_attempts"]) == ("queued", "1")
    other = await cluster.start_worker()
    gate.touch()
    reader = Reader(run_id)
    await reader.follow(client.urls, thread_id)
    assert (await client.run(thread_id, run_id))["status"] == "success"
    await other.kill()
    cluster.workers.remove(other)


async def test_a_stop_while_it_waits_for_redis_ends_it(cluster: Cluster) -> None:
    waiting = cluster.add_arq_worker(redis_url=f"unix://{cluster.folder}/none.sock")
    cluster.workers.remove(waiting)
    waiting.start()
    await wait_until(lambda: waiting.count_logged("redis.unavailable"))
    waiting.signal(signal.SIGTERM)
    assert await waiting.wait_for_exit() == 0
    assert_every_line_is_json(waiting)


async def test_data_of_a_newer_layout_end_the_start_with_one_line(cluster: Cluster) -> None:
    await cluster.pipeline.send("HSET", cluster.keys.layout, "required", LAYOUT + 1, "release", "9.1.0")
    worker = cluster.add_arq_worker()
    cluster.workers.remove(worker)
    worker.start()
    assert await worker.wait_for_exit(30) == exit_codes.CONFIG
    assert re.fullmatch(r"slipway: .*9\.1\.0.*\n", worker.log.read_text())


def assert_every_line_is_json(process: Process) -> None:
    """No line is in arq's own format, and there is no traceback."""
    lines = [json.loads(line) for line in process.log.read_text().splitlines()]
    assert all(line["process"] == "worker" for line in lines)
