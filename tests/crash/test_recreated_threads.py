"""Threads are deleted and created again with the same ids under load, while workers are killed or suspended.

All runs of a thread have one idempotency key. So a run that is created after its thread was deleted has the id of the
earlier run, and an attempt of the earlier run may still be executing."""

from __future__ import annotations

import asyncio
import random
import signal
import time
import uuid
from functools import partial
from typing import Any, Final

import pytest

from tests.crash.clients import Client
from tests.crash.cluster import LEASE_S, Cluster, running
from tests.waiting import wait_until

pytestmark = pytest.mark.timeout(120)

THREADS: Final = 8
LOAD_S: Final = 6.0
UPTO: Final = 3
GRAPH_INPUT: Final = {"upto": UPTO, "pause_s": 0.05}


async def test_a_recreated_thread_has_its_own_data_and_none_of_its_predecessor() -> None:
    async with running(webs=1, workers=2) as cluster:
        client = Client(*(web.url for web in cluster.webs))
        until, ids = time.monotonic() + LOAD_S, [str(uuid.uuid4()) for _ in range(THREADS)]
        disturbing = asyncio.create_task(_disturb(cluster, until))
        last_runs = await asyncio.gather(*(_recreate(cluster, client, each, n, until) for n, each in enumerate(ids)))
        await disturbing
        await wait_until(lambda: _trash_is_empty(cluster))
        await asyncio.gather(*(_assert_has_only(client, *each) for each in zip(ids, last_runs, strict=True)))
        await client.close()


async def _disturb(cluster: Cluster, until: float) -> None:
    """Alternately kills and restarts a worker, and suspends one until its leases have expired."""
    for n in range(99):
        if time.monotonic() > until:
            break
        worker = cluster.workers[n % len(cluster.workers)]
        if n % 2:
            await worker.kill()
            await cluster.restart(worker)
        else:
            worker.signal(signal.SIGSTOP)
            await asyncio.sleep(LEASE_S + 0.5)  # longer than a lease; no event shows its end if the worker had no run
            worker.signal(signal.SIGCONT)


async def _recreate(cluster: Cluster, client: Client, thread_id: str, number: int, until: float) -> str:
    """Repeatedly create the thread with a run, and delete it during the run or after its end. Returns the id of the
    last run, which is not deleted."""
    rng, graph = random.Random(number), "asks" if number % 3 == 0 else "steps"
    while True:
        run_id = await client.start(graph, GRAPH_INPUT, thread_id, key=thread_id)
        last = time.monotonic() > until
        if last or rng.random() < 0.5:
            await wait_until(partial(_has_ended, client, thread_id, run_id))
            await _assert_has_only(client, thread_id, run_id)
        else:
            await asyncio.sleep(rng.random() * 0.2)  # the thread is deleted at any moment of the run
        if last:
            return run_id
        await client.call("DELETE", f"/threads/{thread_id}")


async def _has_ended(client: Client, thread_id: str, run_id: str) -> bool:
    return bool((await client.run(thread_id, run_id))["status"] == "success")


async def _assert_has_only(client: Client, thread_id: str, run_id: str) -> None:
    """The thread has this run only, and its state and history are those of this run only."""
    thread, state, history, runs = await asyncio.gather(
        client.thread(thread_id),
        client.call("GET", f"/threads/{thread_id}/state"),
        client.call("GET", f"/threads/{thread_id}/history?limit=100"),
        client.call("GET", f"/threads/{thread_id}/runs"),
    )
    assert [run["run_id"] for run in runs] == [run_id]
    assert state["values"] == thread["values"]
    if thread["status"] == "interrupted":
        assert state["interrupts"]
        assert _steps(history) == [1, 0, -1]
    else:
        assert (thread["status"], state["values"]["trail"]) == ("idle", list(range(1, UPTO + 1)))
        assert _steps(history) == list(range(UPTO, -2, -1))


def _steps(history: list[dict[str, Any]]) -> list[int]:
    return [each["metadata"]["step"] for each in history]


async def _trash_is_empty(cluster: Cluster) -> bool:
    return bool(await cluster.pipeline.send("EXISTS", cluster.keys.trash, repeatable=True) == 0)
