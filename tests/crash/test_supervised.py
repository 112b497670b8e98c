"""`slipway worker --processes N`: its workers, what they are forked from, and itself are killed."""

from __future__ import annotations

import os
import signal
import uuid
from functools import partial
from pathlib import Path

import psutil

from tests.conftest import wait_until
from tests.crash.clients import Client
from tests.crash.cluster import Cluster, Process, running


def family(supervisor: Process) -> list[psutil.Process]:
    """The processes that it keeps."""
    return psutil.Process(supervisor.pid).children()


def the_fork_server(supervisor: Process) -> psutil.Process:
    return next(child for child in family(supervisor) if "fork-server" in child.cmdline())


def gone(process: psutil.Process) -> bool:
    return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE


async def begun(cluster: Cluster, client: Client) -> tuple[str, Path]:
    """A run that is being worked on, until the file is there."""
    gate = cluster.gate()
    run_id = await client.start("steps", {"until": str(gate), "pause_s": 0.1}, str(uuid.uuid4()))
    await wait_until(partial(cluster.effects.begun, run_id))
    return run_id, gate


async def finishes(cluster: Cluster, run_id: str, gate: Path) -> None:
    gate.touch()

    async def done() -> bool:
        return (await cluster.run(run_id))["phase"] == "completed"

    await wait_until(done)


async def test_whatever_is_killed_the_work_goes_on_and_nothing_is_left() -> None:
    async with running(webs=1, lease_s=8, heartbeat_s=2) as cluster:
        supervisor = cluster.add_worker(processes=2)
        supervisor.start()
        await wait_until(lambda: supervisor.said("worker.ready") >= 2)
        client = Client(cluster.webs[0].url)

        run_id, gate = await begun(cluster, client)
        the_fork_server(supervisor).kill()
        os.kill(cluster.effects.of(run_id)[-1].pid, signal.SIGKILL)
        await finishes(cluster, run_id, gate)
        await wait_until(lambda: supervisor.said("worker.ready") >= 3)

        run_id, gate = await begun(cluster, client)
        for child in family(supervisor):
            child.kill()
        await finishes(cluster, run_id, gate)

        seen = family(supervisor)
        await supervisor.kill()
        await wait_until(lambda: all(map(gone, seen)))
        await client.close()


async def test_sigterm_to_every_process_of_the_group_drains() -> None:
    async with running(webs=1, drain_s=5) as cluster:
        supervisor = cluster.add_worker(processes=2)
        supervisor.start()
        await wait_until(lambda: supervisor.said("worker.ready") >= 2)
        client = Client(cluster.webs[0].url)
        run_id, _ = await begun(cluster, client)
        seen = family(supervisor)
        for process in (psutil.Process(supervisor.pid), *seen):
            process.terminate()
        assert await supervisor.gone(30) == 0
        assert all(map(gone, seen))
        run = await cluster.run(run_id)
        assert run["phase"] == "queued", "handed back"
        await client.close()
