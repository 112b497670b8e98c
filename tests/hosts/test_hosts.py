"""Hosts that are cut off, and hosts whose clocks differ. The longer form is `make hosts`."""

from __future__ import annotations

import asyncio
import os
import shutil
import tempfile
import time
import uuid
from collections.abc import Callable, Coroutine
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import httpx
import pytest

from slipway.errors import StoreUnavailable
from slipway.redis.connection import Address
from slipway.redis.server_pipeline import ServerPipeline
from tests.crash.checks import assert_log_is_complete, assert_log_is_consistent
from tests.crash.clients import Client
from tests.crash.cluster import Cluster, Process
from tests.crash.effects import repetition
from tests.hosts.clocks import library
from tests.hosts.deployment import AHEAD_S, Deployment, Machine, running
from tests.hosts.drill import drill
from tests.hosts.network import Host, Network, in_own_namespace, missing_requirement
from tests.waiting import wait_until

LONG_LEASE_S: Final = 8.0
"""A lease that a busy machine has time to renew after a cut."""
NO_NETWORK: Final = missing_requirement()
NO_CLOCKS: Final = None if library() else "libfaketime is not installed (apt: faketime)"
_FIN_WAIT_1: Final = "04"
"""The state of a closed socket whose last bytes are not acknowledged, in /proc/net/tcp."""

pytestmark = [
    pytest.mark.skipif(NO_NETWORK is not None, reason=NO_NETWORK or ""),
    pytest.mark.timeout(180),
]
with_clocks = pytest.mark.skipif(NO_CLOCKS is not None, reason=NO_CLOCKS or "")


def on_hosts(scenario: Callable[[Deployment, Client], Coroutine[Any, Any, None]], **options: Any) -> None:
    """Executes the scenario with a new deployment."""

    async def main() -> None:
        async with running(**options) as deployment:
            client = Client(*(web.url for web in deployment.cluster.webs), timeout_s=3)
            try:
                await scenario(deployment, client)
            finally:
                await client.close()

    in_own_namespace(main)


async def _ended(cluster: Cluster, run_id: str) -> dict[str, str]:
    record: dict[str, str] = {}

    async def has_ended() -> bool:
        record.update(await cluster.run(run_id))
        return record.get("phase") not in ("queued", "running")

    await wait_until(has_ended)
    assert record["phase"] == "completed", record
    return record


async def _worker_in_superstep(deployment: Deployment, run_id: str, superstep: int) -> tuple[Process, Host]:
    cluster = deployment.cluster
    await wait_until(lambda: cluster.effects.has_started(run_id, superstep))
    worker = await cluster.worker_of(run_id)
    assert worker is not None
    return worker, deployment.workers[worker]


def test_nothing_is_lost_or_doubled_while_hosts_are_cut_off_and_healed() -> None:
    report = in_own_namespace(lambda: drill(runs=60, seconds=20, seed=int(os.environ.get("SLIPWAY_TEST_SEED", "11"))))
    print(report.table())
    assert report.problems == []


def test_a_worker_that_is_cut_off_for_longer_than_its_lease_loses_its_runs_and_stops() -> None:
    on_hosts(_cut_for_longer, webs=[0], workers=[0, 0])


async def _cut_for_longer(deployment: Deployment, client: Client) -> None:
    cluster, thread_id, gate = deployment.cluster, str(uuid.uuid4()), deployment.cluster.gate()
    run_id = await client.start("steps", {"until": str(gate), "pause_s": 0.1}, thread_id)
    worker, host = await _worker_in_superstep(deployment, run_id, 3)
    with host.cut_off():
        await wait_until(lambda: cluster.effects.of_run(run_id)[-1].attempt == 2)
    await wait_until(lambda: worker.count_logged("attempt.fenced"))
    of_first = [effect for effect in cluster.effects.of_run(run_id) if effect.attempt == 1]
    gate.touch()
    record = await _ended(cluster, run_id)
    effects = cluster.effects.of_run(run_id)
    assert [effect for effect in effects if effect.attempt == 1] == of_first
    assert record["attempt"] == "2"
    repeated = repetition(effects)
    assert repeated.most <= 2
    assert not repeated.skipped
    log = await cluster.log_of(run_id)
    assert_log_is_consistent(log, 2)
    steps = max(effect.step for effect in effects if effect.event == "done")
    assert_log_is_complete(log, "steps", {"upto": steps})
    assert worker.alive
    await wait_until(lambda: _is_listed(cluster, worker))


async def _is_listed(cluster: Cluster, worker: Process) -> bool:
    live = await cluster.pipeline.send("ZRANGE", cluster.keys.workers, 0, -1, repeatable=True)
    return any(f":{worker.pid}:".encode() in name for name in live)


def test_a_worker_that_is_cut_off_for_less_than_its_lease_keeps_its_runs() -> None:
    on_hosts(_cut_for_less, webs=[0], workers=[0, 0], lease_s=LONG_LEASE_S)


async def _cut_for_less(deployment: Deployment, client: Client) -> None:
    cluster, thread_id, gate = deployment.cluster, str(uuid.uuid4()), deployment.cluster.gate()
    run_id = await client.start("steps", {"until": str(gate), "pause_s": 0.1}, thread_id)
    _, host = await _worker_in_superstep(deployment, run_id, 3)
    reached = len(cluster.effects.of_run(run_id))
    with host.cut_off():
        await asyncio.sleep(0.2 * LONG_LEASE_S)  # the length of the cut is what the test is about
    await wait_until(lambda: len(cluster.effects.of_run(run_id)) > reached + 8)
    gate.touch()
    assert (await _ended(cluster, run_id))["attempt"] == "1"
    assert set(cluster.effects.times_done(run_id).values()) == {1}
    assert_log_is_consistent(await cluster.log_of(run_id), 1)


def test_a_run_that_a_web_process_created_while_it_was_cut_off_is_created_once() -> None:
    on_hosts(_created_by_a_cut_web, webs=[0, 0], workers=[0])


async def _created_by_a_cut_web(deployment: Deployment, client: Client) -> None:
    cluster, thread_id = deployment.cluster, str(uuid.uuid4())
    web, other = cluster.webs
    path, headers = f"/threads/{thread_id}/runs", {"Idempotency-Key": thread_id}
    body = {"assistant_id": "steps", "input": {"upto": 2}, "if_not_exists": "create"}
    async with httpx.AsyncClient(timeout=20) as http:
        with deployment.webs[web].cut_off("private"):
            response = await http.post(web.url + path, json=body, headers=headers)
            assert response.status_code == 503
            created = await http.post(other.url + path, json=body, headers=headers)
            run_id = created.json()["run_id"]
            await _ended(cluster, run_id)
        await wait_until(lambda: _is_accepted(http, web.url + path, body, headers))
        repeated = await http.post(web.url + path, json=body, headers=headers)
        assert repeated.json()["run_id"] == run_id
        assert [each["run_id"] for each in (await http.get(web.url + path)).json()] == [run_id]
    assert set(cluster.effects.times_done(run_id).values()) == {1}


async def _is_accepted(http: httpx.AsyncClient, url: str, body: dict[str, Any], headers: dict[str, str]) -> bool:
    return (await http.post(url, json=body, headers=headers)).status_code == 200


def test_what_a_process_gave_up_is_not_executed_when_the_network_is_healed() -> None:
    in_own_namespace(_given_up)


async def _given_up() -> None:
    network, folder = Network(), Path(tempfile.mkdtemp(prefix="slipway-hosts-"))
    host = await network.add_host()
    cluster = Cluster(folder, {}, valkey_place=Machine(host), valkey_address=host.address())
    given_up = ServerPipeline(
        Address(f"redis://{host.address()}:6379"), "gives up", patience_s=0.5, reply_timeout_s=0.5
    )
    try:
        await cluster.start_valkey()
        await cluster.pipeline.open()
        await given_up.open()
        with host.cut_off():
            with pytest.raises(StoreUnavailable):
                await given_up.send("SET", "value", "old", repeatable=False)
            await wait_until(lambda: not given_up.connected)
            await cluster.pipeline.send("SET", "value", "new", repeatable=False)
        await wait_until(lambda: given_up.connected and not _unsent_sockets())
        assert await cluster.pipeline.send("GET", "value", repeatable=True) == b"new"
    finally:
        await given_up.close()
        await cluster.close()
        await asyncio.to_thread(network.close)
        shutil.rmtree(folder, ignore_errors=True)


def _unsent_sockets() -> list[str]:
    """Sockets of this namespace that are closed, while the kernel still sends what was written to them."""
    lines = Path("/proc/thread-self/net/tcp").read_text().splitlines()[1:]
    return [line for line in lines if line.split()[3] == _FIN_WAIT_1]


@with_clocks
def test_a_thread_continues_on_hosts_with_other_clocks() -> None:
    on_hosts(_continued_elsewhere, webs=[0], workers=[AHEAD_S, -AHEAD_S])


async def _continued_elsewhere(deployment: Deployment, client: Client) -> None:
    cluster, thread_id = deployment.cluster, str(uuid.uuid4())
    ahead, behind = cluster.workers
    for number, worker in enumerate((ahead, behind, ahead, behind), 1):
        (behind if worker is ahead else ahead).suspend()
        run_id = await client.start("steps", {"upto": 2 * number}, thread_id)
        await _ended(cluster, run_id)
        assert {effect.pid for effect in cluster.effects.of_run(run_id)} == {worker.pid}
        (behind if worker is ahead else ahead).resume()
        state = await client.call("GET", f"/threads/{thread_id}/state")
        assert state["values"]["count"] == 2 * number


@with_clocks
def test_what_is_due_is_decided_by_the_clock_of_redis() -> None:
    on_hosts(_due, webs=[AHEAD_S, -AHEAD_S], workers=[AHEAD_S, -AHEAD_S])


async def _due(deployment: Deployment, client: Client) -> None:
    cluster = deployment.cluster
    for web in cluster.webs:
        async with httpx.AsyncClient(base_url=web.url, timeout=20) as http:
            cron = await http.post("/runs/crons", json={"assistant_id": "steps", "schedule": "* * * * *"})
            wait = datetime.fromisoformat(cron.json()["next_run_date"]) - datetime.now(UTC)
            assert timedelta(seconds=-1) <= wait <= timedelta(seconds=60)
            await http.delete(f"/runs/crons/{cron.json()['cron_id']}")
            began = time.monotonic()
            body = {"assistant_id": "steps", "input": {"upto": 1}, "after_seconds": 1, "if_not_exists": "create"}
            created = await http.post(f"/threads/{uuid.uuid4()}/runs", json=body)
            await _ended(cluster, created.json()["run_id"])
            assert 1 <= time.monotonic() - began < AHEAD_S / 10
