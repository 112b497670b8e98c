"""Suspended workers, runs that kill their workers, and a time without any worker."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.crash.checks import assert_log_is_consistent, assert_reader_received_all
from tests.crash.clients import Client, Reader
from tests.crash.cluster import LEASE_S, Cluster, Process, running
from tests.crash.effects import repetition
from tests.crash.shared_cluster import SharedCluster
from tests.waiting import wait_until

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(120)]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shared() -> AsyncIterator[SharedCluster]:
    async with SharedCluster(webs=1, workers=2) as shared:
        yield shared


async def worker_in_superstep(cluster: Cluster, run_id: str, step: int) -> Process:
    """Wait until the run has started this superstep, and return its worker."""
    await wait_until(lambda: cluster.effects.has_started(run_id, step))
    worker = await cluster.worker_of(run_id)
    assert worker is not None
    return worker


async def assert_completed(
    cluster: Cluster, client: Client, thread_id: str, run_id: str, upto: int | None = None
) -> int:
    """Check state and log of a completed run of `steps`; without `upto`, any number of supersteps is accepted. Returns
    the number of its attempts."""
    run, thread = await asyncio.gather(client.run(thread_id, run_id), client.thread(thread_id))
    assert (run["status"], thread["status"]) == ("success", "idle")
    trail = thread["values"]["trail"]
    assert trail == list(range(1, (upto or len(trail)) + 1))
    assert_log_is_consistent(await cluster.log_of(run_id), run["attempt"])
    return int(run["attempt"])


async def test_a_worker_suspended_longer_than_its_lease_is_fenced(cluster: Cluster, client: Client) -> None:
    thread_id, gate = str(uuid.uuid4()), cluster.gate()
    run_id = await client.start("steps", {"until": str(gate), "pause_s": 0.25}, thread_id)
    reader = Reader(run_id)
    following = asyncio.create_task(reader.follow(client.urls, thread_id))
    suspended = await worker_in_superstep(cluster, run_id, 2)
    suspended.suspend()
    gate.touch()
    await following
    assert await assert_completed(cluster, client, thread_id, run_id) == 2
    before = await cluster.log_of(run_id), await cluster.run(run_id), await client.thread(thread_id)

    suspended.resume()
    await wait_until(lambda: suspended.count_logged("attempt.fenced"))
    await wait_until(lambda: suspended.count_logged("run.lost"))
    assert suspended.count_logged("attempt.fenced") == 1
    assert (await cluster.log_of(run_id), await cluster.run(run_id), await client.thread(thread_id)) == before
    assert_reader_received_all(reader, before[0])
    assert repetition(cluster.effects.of_run(run_id)).most <= 1

    # the resumed worker executes new runs
    again = str(uuid.uuid4())
    for other in cluster.workers:
        if other is not suspended:
            await other.kill()
    run_id = await client.start("steps", {"upto": 3}, again)
    await Reader(run_id).follow(client.urls, again)
    await assert_completed(cluster, client, again, run_id, 3)


@pytest.mark.parametrize("pause", ["block", "burn"])
async def test_a_step_that_blocks_the_event_loop_does_not_lose_its_lease(
    pause: str, cluster: Cluster, client: Client
) -> None:
    thread_id = str(uuid.uuid4())
    run_id = await client.start("steps", {"upto": 1, "pause_s": 1.5 * LEASE_S, "how": pause}, thread_id)
    await Reader(run_id).follow(client.urls, thread_id)
    assert await assert_completed(cluster, client, thread_id, run_id, 1) == 1


async def test_completed_tasks_of_an_interrupted_superstep_are_not_executed_again(
    cluster: Cluster, client: Client
) -> None:
    thread_id, gate = str(uuid.uuid4()), cluster.gate()
    run_id = await client.start("fan", {"parts": [0.01, 0.02, 0.03, str(gate)]}, thread_id, stream_mode=["tasks"])
    reader = Reader(run_id)
    following = asyncio.create_task(reader.follow(client.urls, thread_id))
    # the result of a task is in the log once its writes are stored
    await wait_until(lambda: sum("result" in data for data in reader.data) == 3, beside=following)
    worker = await cluster.worker_of(run_id)
    assert worker is not None
    await worker.kill()
    gate.touch()
    await following
    assert (await client.run(thread_id, run_id))["status"] == "success"
    done = cluster.effects.times_done(run_id)
    assert set(done.values()) == {1}
    started = [effect.task for effect in cluster.effects.of_run(run_id) if effect.event == "begin"]
    assert sorted(started) == ["gather", "part 0", "part 1", "part 2", "part 3", "part 3"]
    assert sorted((await client.thread(thread_id))["values"]["done"]) == [0, 1, 2, 3]
    assert_reader_received_all(reader, await cluster.log_of(run_id))


async def test_a_run_that_kills_its_workers_fails_and_other_runs_complete() -> None:
    async with running(webs=1, workers=2, max_attempts=3) as cluster:
        client = Client(cluster.webs[0].url)
        poisoned = str(uuid.uuid4())
        poison = await client.start("poison", {"upto": 1}, poisoned)
        others = [(str(uuid.uuid4()), 0) for _ in range(6)]
        runs = [
            (thread_id, await client.start("steps", {"upto": 3, "pause_s": 0.1}, thread_id)) for thread_id, _ in others
        ]
        reader = Reader(poison)
        following = asyncio.gather(
            reader.follow(client.urls, poisoned),
            *(Reader(run_id).follow(client.urls, thread_id) for thread_id, run_id in runs),
        )
        while not following.done():
            _start_exited(cluster)
            await asyncio.wait([following], timeout=0.05)
        await following
        failed = await client.run(poisoned, poison)
        assert (failed["status"], failed["phase"], failed["error"]["code"]) == ("error", "failed", "ceiling.attempts")
        assert (await client.thread(poisoned))["status"] == "error"
        assert len(cluster.effects.of_run(poison)) == 3
        assert_reader_received_all(reader, await cluster.log_of(poison))
        for thread_id, run_id in runs:
            await assert_completed(cluster, client, thread_id, run_id, 3)
        await client.close()


@pytest.mark.parametrize("before", ["new", "restarted"])
async def test_a_worker_killed_at_once_repeats_one_superstep_although_redis_had_no_script(before: str) -> None:
    """The write group of the first superstep is the first call of its script, so Redis would ask for the source, and
    the process would be killed before it reads that."""
    async with running(webs=1, workers=2) as cluster:
        client = Client(cluster.webs[0].url)
        if before == "restarted":  # the workers have called the script, and Redis has forgotten it
            thread_id = str(uuid.uuid4())
            run_id = await client.start("steps", {"upto": 4, "pause_s": 0.1}, thread_id)
            await Reader(run_id).follow(client.urls, thread_id)
            await cluster.valkey.kill()
            await cluster.start_valkey()
        thread_id, file = str(uuid.uuid4()), cluster.gate()
        run_id = await client.start("dies_once", {"until": str(file), "upto": 1}, thread_id)
        await Reader(run_id).follow(client.urls, thread_id)
        assert (await client.run(thread_id, run_id))["attempt"] == 2
        assert cluster.effects.times_done(run_id)[1, "work"] == 1
        assert repetition(cluster.effects.of_run(run_id)).most <= 1
        await client.close()


def _start_exited(cluster: Cluster) -> None:
    """Restarts exited workers, as a supervisor does."""
    for worker in cluster.workers:
        if not worker.alive:
            worker.start()


@pytest.mark.parametrize("poisons", [1, 3])
async def test_runs_that_kill_their_workers_cost_other_runs_few_attempts(poisons: int) -> None:
    async with running(webs=1) as cluster:
        cluster.add_worker(processes=2).start()
        client = Client(cluster.webs[0].url)
        inputs = [("steps", {"upto": 12, "pause_s": 0.4})] * 10 + [("poison", {"upto": 1})] * poisons
        runs = [
            (graph, thread_id, await client.start(graph, graph_input, thread_id))
            for graph, graph_input in inputs
            for thread_id in [str(uuid.uuid4())]
        ]
        await asyncio.gather(*(Reader(run_id).follow(client.urls, thread_id) for _, thread_id, run_id in runs))
        attempts = []
        for graph, thread_id, run_id in runs:
            record = await cluster.run(run_id)
            if graph == "poison":
                assert (record["phase"], record["reason"]) == ("failed", "ceiling.attempts")
            else:
                attempts.append(await assert_completed(cluster, client, thread_id, run_id, 12))
                assert attempts[-1] - int(record.get("uncounted_attempts", 0)) <= 1 + poisons
        print(f"{poisons} poison runs; attempts of the other runs: {sorted(attempts)}")
        await client.close()


async def test_runs_wait_without_workers_and_execute_when_a_worker_starts(cluster: Cluster, client: Client) -> None:
    started, waiting, gate = str(uuid.uuid4()), str(uuid.uuid4()), cluster.gate()
    first = await client.start("steps", {"until": str(gate), "pause_s": 0.1}, started)
    await worker_in_superstep(cluster, first, 2)
    await asyncio.gather(*(worker.kill() for worker in cluster.workers))
    second = await client.start("steps", {"upto": 2}, waiting)
    assert (await client.run(waiting, second))["phase"] == "queued"
    gate.touch()
    await cluster.restart(cluster.workers[0])
    readers = Reader(first), Reader(second)
    await asyncio.gather(readers[0].follow(client.urls, started), readers[1].follow(client.urls, waiting))
    assert await assert_completed(cluster, client, started, first) == 2
    assert await assert_completed(cluster, client, waiting, second, 2) == 1
    assert repetition(cluster.effects.of_run(first)).most <= 1
