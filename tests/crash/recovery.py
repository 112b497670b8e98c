"""How soon does a run go on after its worker was killed? `python -m tests.crash.recovery [--times 20]`.

Measured from the SIGKILL to the first effect of the next attempt: under a supervisor that sees the death, with several
workers or with the one of `slipway dev`, and with the default lease and another worker. The machine's load is told
beside each, for it is most of the difference between two measurements.
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

from tests.conftest import wait_until
from tests.crash.clients import Client, Reader
from tests.crash.cluster import running
from tests.crash.dev import Dev
from tests.crash.effects import Effects

SLOW_IMPORT_S = 2.0


async def by_lease(times: int) -> list[float]:
    """Seconds, `times` times: all at once, a worker each, and one that takes over."""
    async with running(
        webs=1, workers=times, lease_s=8, heartbeat_s=2, reap_every_s=1, max_runs_per_worker=1
    ) as cluster:
        client = Client(cluster.webs[0].url)
        runs = [await client.start("steps", {"upto": 400, "pause_s": 0.1}, str(uuid.uuid4())) for _ in range(times)]
        await wait_until(lambda: set(runs) <= {effect.run for effect in cluster.effects.all()})
        survivor = cluster.add_worker()
        survivor.start(SLIPWAY_MAX_RUNS_PER_WORKER=str(times))
        await wait_until(lambda: survivor.said("worker.ready"))
        killed_at: dict[str, float] = {}
        for run_id in runs:
            holder = await cluster.holder(run_id)
            assert holder is not None
            killed_at[run_id] = time.time()
            await holder.kill()
            await asyncio.sleep(random.uniform(0, 0.3))
        await client.close()
        return [await _next_attempt(cluster.effects, run_id, killed_at[run_id]) for run_id in runs]


async def by_supervisor(times: int, processes: int, import_s: float = 0) -> list[float]:
    """Seconds, `times` times, one after the other: `slipway worker --processes N` sees a child die. Graphs that take
    `import_s` to import make it wait until all are ready again before it kills the next."""
    found: list[float] = []
    graphs_env = {"IMPORT_S": str(import_s)}
    async with running(webs=1, lease_s=8, heartbeat_s=2, reap_every_s=1, graphs_env=graphs_env) as cluster:
        supervisor = cluster.add_worker(processes=processes)
        supervisor.start()
        client = Client(cluster.webs[0].url)
        for _ in range(times):
            if import_s:
                await wait_until(lambda: supervisor.said("worker.ready") >= processes + len(found), 60)
            found.append(await _one(client, cluster.effects))
        await client.close()
    return found


async def in_dev(times: int) -> list[float]:
    """Seconds, `times` times, one after the other: the only worker of `slipway dev` is killed."""
    found = []
    async with Dev() as dev:
        client = Client(dev.url)
        for _ in range(times):
            found.append(await _one(client, dev.effects))
        await client.close()
    return found


async def _one(client: Client, effects: Effects) -> float:
    """One run whose worker is killed. It is over before the next one begins: with several deaths in a row a run would
    wait until it is alone."""
    thread_id = str(uuid.uuid4())
    run_id = await client.start("steps", {"upto": 8, "pause_s": 0.1}, thread_id)
    await wait_until(partial(effects.begun, run_id))
    at = time.time()
    os.kill(effects.of(run_id)[-1].pid, signal.SIGKILL)
    found = await _next_attempt(effects, run_id, at)
    await Reader(run_id).follow(client.urls, thread_id)
    return found


async def _next_attempt(effects: Effects, run_id: str, since: float) -> float:
    def later() -> list[float]:
        return [effect.at for effect in effects.of(run_id) if effect.attempt > 1]

    await wait_until(later)
    return later()[0] - since


def _said(name: str, seconds: list[float]) -> str:
    p50, most = statistics.median(seconds), max(seconds)
    load = os.getloadavg()[0]
    return f"{name:<42} p50 {p50:5.2f} s   max {most:5.2f} s   of {len(seconds)}   load {load:.1f}"


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.crash.recovery")
    parser.add_argument("--times", type=int, default=20)
    parser.add_argument("--without-lease", action="store_true", help="leave out what takes a lease each time")
    arguments = parser.parse_args()
    times = arguments.times
    print(f"{psutil.cpu_count()} cores")
    for processes in (2, 4):
        name = f"slipway worker --processes {processes}"
        print(_said(name, asyncio.run(by_supervisor(times, processes))), flush=True)
    name = f"the same with 2, graphs import for {SLOW_IMPORT_S:g} s"
    print(_said(name, asyncio.run(by_supervisor(times, 2, SLOW_IMPORT_S))), flush=True)
    print(_said("slipway dev", asyncio.run(in_dev(times))), flush=True)
    if not arguments.without_lease:
        print(_said("by lease (8 s)", asyncio.run(by_lease(times))), flush=True)


if __name__ == "__main__":
    main()
