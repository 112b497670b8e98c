"""`slipway worker --processes N`: its workers and the supervisor itself are killed."""

from __future__ import annotations

import os
import signal
import uuid
from functools import partial
from pathlib import Path

import psutil

from tests.crash.clients import Client
from tests.crash.cluster import Cluster, Process, running
from tests.proxy import tcp_proxied
from tests.waiting import wait_until


def children(supervisor: Process) -> list[psutil.Process]:
    return psutil.Process(supervisor.pid).children()


def has_exited(process: psutil.Process) -> bool:
    return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE


async def start_run(cluster: Cluster, client: Client, how: str = "wait") -> tuple[str, Path]:
    """Start a run that executes until the file exists; with `how="hold"` in one superstep. Returns its id and the path
    of the file."""
    gate = cluster.gate()
    graph_input = {"until": str(gate), "pause_s": 0.1, "how": how}
    run_id = await client.start("steps", graph_input, str(uuid.uuid4()))
    await wait_until(partial(cluster.effects.has_started, run_id))
    return run_id, gate


async def complete_run(cluster: Cluster, run_id: str, gate: Path) -> None:
    gate.touch()

    async def is_completed() -> bool:
        return (await cluster.run(run_id))["phase"] == "completed"

    await wait_until(is_completed)


async def test_runs_complete_after_each_process_was_killed_and_no_process_remains() -> None:
    """The address of Redis has a host name, which an event loop resolves in a thread."""
    async with running(webs=1, lease_s=8, heartbeat_s=2) as cluster, tcp_proxied(cluster.redis_url) as proxy:
        supervisor = cluster.add_worker(processes=2, redis_url=proxy.url.replace("127.0.0.1", "localhost"))
        supervisor.start()
        await wait_until(lambda: supervisor.count_logged("worker.ready") >= 2)
        client = Client(cluster.webs[0].url)

        run_id, gate = await start_run(cluster, client)
        os.kill(cluster.effects.of_run(run_id)[-1].pid, signal.SIGKILL)
        await complete_run(cluster, run_id, gate)
        await wait_until(lambda: supervisor.count_logged("worker.ready") >= 3)

        assert supervisor.count_logged("runs.reclaimed") == 1, "the lease did not expire"
        assert supervisor.count_logged("executed") == 0, "the supervisor has no thread, so it forked all children"

        run_id, gate = await start_run(cluster, client)
        for child in children(supervisor):
            child.kill()
        await complete_run(cluster, run_id, gate)

        processes = children(supervisor)
        await supervisor.kill()
        await wait_until(lambda: all(map(has_exited, processes)))
        await client.close()


async def test_sigterm_to_every_process_of_the_group_drains() -> None:
    async with running(webs=1, drain_s=5) as cluster:
        supervisor = cluster.add_worker(processes=2)
        supervisor.start()
        await wait_until(lambda: supervisor.count_logged("worker.ready") >= 2)
        client = Client(cluster.webs[0].url)
        run_id, _ = await start_run(cluster, client)
        processes = children(supervisor)
        for process in (psutil.Process(supervisor.pid), *processes):
            process.terminate()
        assert await supervisor.wait_for_exit(30) == 0
        assert all(map(has_exited, processes))
        run = await cluster.run(run_id)
        assert run["phase"] == "queued", "released"
        await client.close()


async def test_a_worker_that_needs_all_its_time_to_stop_is_not_killed() -> None:
    """Redis does not reply, so the worker waits until the end of each limit: it cannot release its run."""
    async with running(webs=1, drain_s=0.5) as cluster:
        supervisor = cluster.add_worker(processes=2)
        supervisor.start()
        await wait_until(lambda: supervisor.count_logged("worker.ready") >= 2)
        client = Client(cluster.webs[0].url)
        await start_run(cluster, client, how="hold")
        cluster.valkey.suspend()
        supervisor.signal(signal.SIGTERM)
        assert await supervisor.wait_for_exit(30) == 0
        assert supervisor.count_logged("worker.drained") == 2
        assert supervisor.count_logged("child.killed") == 0
        cluster.valkey.resume()
        await client.close()
