"""Measures how soon a run continues after its worker was killed: `python -m tests.crash.recovery [--times 20]`.

The time is from the SIGKILL to the first effect of the next attempt. It is measured with a supervisor that notices the
death (several workers, and the one worker of `slipway dev`), and without a supervisor, where the lease must expire.
Each line has the load of the machine, which causes most of the difference between two measurements.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import signal
import statistics
import time
import uuid
from functools import partial

import psutil

from tests.crash.clients import Client, Reader
from tests.crash.cluster import running
from tests.crash.dev import Dev
from tests.crash.effects import Effects
from tests.waiting import wait_until

SLOW_IMPORT_S = 2.0


async def by_lease(times: int) -> list[float]:
    """Recovery times in seconds. `times` runs execute at once in one worker each, and one more worker continues
    them."""
    async with running(
        webs=1, workers=times, lease_s=8, heartbeat_s=2, reap_every_s=1, max_runs_per_worker=1
    ) as cluster:
        client = Client(cluster.webs[0].url)
        runs = [await client.start("steps", {"upto": 400, "pause_s": 0.1}, str(uuid.uuid4())) for _ in range(times)]
        await wait_until(lambda: set(runs) <= {effect.run for effect in cluster.effects.all()})
        survivor = cluster.add_worker()
        survivor.start(SLIPWAY_MAX_RUNS_PER_WORKER=str(times))
        await wait_until(lambda: survivor.count_logged("worker.ready"))
        killed_at: dict[str, float] = {}
        for run_id in runs:
            worker = await cluster.worker_of(run_id)
            assert worker is not None
            killed_at[run_id] = time.time()
            await worker.kill()
            await asyncio.sleep(random.uniform(0, 0.3))
        await client.close()
        return [await _next_attempt(cluster.effects, run_id, killed_at[run_id]) for run_id in runs]


async def by_supervisor(times: int, processes: int, import_s: float = 0) -> list[float]:
    """Recovery times in seconds, one after the other, under `slipway worker --processes N`. With graphs that need
    `import_s` seconds to import, all workers must be ready again before the next one is killed."""
    times_s: list[float] = []
    graphs_env = {"IMPORT_S": str(import_s)}
    async with running(webs=1, lease_s=8, heartbeat_s=2, reap_every_s=1, graphs_env=graphs_env) as cluster:
        supervisor = cluster.add_worker(processes=processes)
        supervisor.start()
        client = Client(cluster.webs[0].url)
        for _ in range(times):
            if import_s:
                await wait_until(lambda: supervisor.count_logged("worker.ready") >= processes + len(times_s), 60)
            times_s.append(await _recovery_time_s(client, cluster.effects))
        await client.close()
    return times_s


async def in_dev(times: int) -> list[float]:
    """Recovery times in seconds, one after the other, of the only worker of `slipway dev`."""
    times_s = []
    async with Dev() as dev:
        client = Client(dev.url)
        for _ in range(times):
            times_s.append(await _recovery_time_s(client, dev.effects))
        await client.close()
    return times_s


async def _recovery_time_s(client: Client, effects: Effects) -> float:
    """Kills the worker of one run. The run ends before the next run starts: after several deaths in a row a run would
    be a crash suspect and wait until it executes alone."""
    thread_id = str(uuid.uuid4())
    run_id = await client.start("steps", {"upto": 8, "pause_s": 0.1}, thread_id)
    await wait_until(partial(effects.has_started, run_id))
    killed_at = time.time()
    os.kill(effects.of_run(run_id)[-1].pid, signal.SIGKILL)
    recovery_s = await _next_attempt(effects, run_id, killed_at)
    await Reader(run_id).follow(client.urls, thread_id)
    return recovery_s


async def _next_attempt(effects: Effects, run_id: str, since: float) -> float:
    def next_effects() -> list[float]:
        return [effect.at for effect in effects.of_run(run_id) if effect.attempt > 1]

    await wait_until(next_effects)
    return next_effects()[0] - since


def _table_row(name: str, seconds: list[float]) -> str:
    p50, maximum = statistics.median(seconds), max(seconds)
    load = os.getloadavg()[0]
    return f"{name:<42} p50 {p50:5.2f} s   max {maximum:5.2f} s   of {len(seconds)}   load {load:.1f}"


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.crash.recovery")
    parser.add_argument("--times", type=int, default=20)
    parser.add_argument(
        "--without-lease", action="store_true", help="skip the measurement that waits for leases to expire"
    )
    arguments = parser.parse_args()
    times = arguments.times
    print(f"{psutil.cpu_count()} cores")
    for processes in (2, 4):
        name = f"slipway worker --processes {processes}"
        print(_table_row(name, asyncio.run(by_supervisor(times, processes))), flush=True)
    name = f"the same with 2, graphs import for {SLOW_IMPORT_S:g} s"
    print(_table_row(name, asyncio.run(by_supervisor(times, 2, SLOW_IMPORT_S))), flush=True)
    print(_table_row("slipway dev", asyncio.run(in_dev(times))), flush=True)
    if not arguments.without_lease:
        print(_table_row("by lease (8 s)", asyncio.run(by_lease(times))), flush=True)


if __name__ == "__main__":
    main()
