"""Workers that hang rather than die, runs that kill their workers, and nobody there at all."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.conftest import wait_until
from tests.crash.checks import log_is_whole, reader_has_all
from tests.crash.clients import Client, Reader
from tests.crash.cluster import LEASE_S, Cluster, Process, running
from tests.crash.effects import repetition
from tests.crash.sharing import SharedCluster

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(120)]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shared() -> AsyncIterator[SharedCluster]:
    async with SharedCluster(webs=1, workers=2) as shared:
        yield shared


@pytest_asyncio.fixture(loop_scope="module")
async def cluster(shared: SharedCluster, request: pytest.FixtureRequest) -> AsyncIterator[Cluster]:
    """All its processes up and running."""
    async with shared.lent_to(request.node) as cluster:
        await cluster.start_what_is_down()
        yield cluster


@pytest_asyncio.fixture(loop_scope="module")
async def client(cluster: Cluster) -> AsyncIterator[Client]:
    client = Client(*(web.url for web in cluster.webs))
    yield client
    await client.close()


async def held(cluster: Cluster, run_id: str, step: int) -> Process:
    """The worker of a run that goes on until it is let go, once it has begun this superstep."""
    await wait_until(lambda: cluster.effects.begun(run_id, step))
    worker = await cluster.holder(run_id)
    assert worker is not None
    return worker


async def whole(cluster: Cluster, client: Client, thread_id: str, run_id: str, upto: int | None = None) -> int:
    """Check a finished run of `steps` in every respect, of whatever number of supersteps without `upto`. Returns its
    attempts."""
    run, thread = await asyncio.gather(client.run(thread_id, run_id), client.thread(thread_id))
    assert (run["status"], thread["status"]) == ("success", "idle")
    trail = thread["values"]["trail"]
    assert trail == list(range(1, (upto or len(trail)) + 1))
    log_is_whole(await cluster.log_of(run_id), run["attempt"])
    return int(run["attempt"])


async def test_a_worker_stopped_past_its_lease_is_fenced(cluster: Cluster, client: Client) -> None:
    thread_id, gate = str(uuid.uuid4()), cluster.gate()
    run_id = await client.start("steps", {"until": str(gate), "pause_s": 0.25}, thread_id)
    reader = Reader(run_id)
    following = asyncio.create_task(reader.follow(client.urls, thread_id))
    stopped = await held(cluster, run_id, 2)
    stopped.stop()
    gate.touch()
    await following
    assert await whole(cluster, client, thread_id, run_id) == 2
    before = await cluster.log_of(run_id), await cluster.run(run_id), await client.thread(thread_id)

    stopped.go_on()
    await wait_until(lambda: stopped.said("attempt.fenced"))
    await wait_until(lambda: stopped.said("run.lost"))
    assert stopped.said("attempt.fenced") == 1
    assert (await cluster.log_of(run_id), await cluster.run(run_id), await client.thread(thread_id)) == before
    reader_has_all(reader, before[0])
    assert repetition(cluster.effects.of(run_id)).most <= 1

    # the stopped worker is as good as new
    again = str(uuid.uuid4())
    for other in cluster.workers:
        if other is not stopped:
            await other.kill()
    run_id = await client.start("steps", {"upto": 3}, again)
    await Reader(run_id).follow(client.urls, again)
    await whole(cluster, client, again, run_id, 3)


@pytest.mark.parametrize("how", ["block", "burn"])
async def test_a_step_that_holds_the_event_loop_keeps_its_lease(how: str, cluster: Cluster, client: Client) -> None:
    thread_id = str(uuid.uuid4())
    run_id = await client.start("steps", {"upto": 1, "pause_s": 1.5 * LEASE_S, "how": how}, thread_id)
    await Reader(run_id).follow(client.urls, thread_id)
    assert await whole(cluster, client, thread_id, run_id, 1) == 1


async def test_finished_tasks_of_the_superstep_in_flight_are_not_run_again(cluster: Cluster, client: Client) -> None:
    thread_id, gate = str(uuid.uuid4()), cluster.gate()
    run_id = await client.start("fan", {"parts": [0.01, 0.02, 0.03, str(gate)]}, thread_id, stream_mode=["tasks"])
    reader = Reader(run_id)
    following = asyncio.create_task(reader.follow(client.urls, thread_id))
    # a task's result is in the log once its writes are kept
    await wait_until(lambda: sum("result" in data for data in reader.data) == 3, beside=following)
    holder = await cluster.holder(run_id)
    assert holder is not None
    await holder.kill()
    gate.touch()
    await following
    assert (await client.run(thread_id, run_id))["status"] == "success"
    done = cluster.effects.done(run_id)
    assert set(done.values()) == {1}
    begun = [effect.task for effect in cluster.effects.of(run_id) if effect.what == "begin"]
    assert sorted(begun) == ["gather", "part 0", "part 1", "part 2", "part 3", "part 3"]
    assert sorted((await client.thread(thread_id))["values"]["done"]) == [0, 1, 2, 3]
    reader_has_all(reader, await cluster.log_of(run_id))


async def test_a_poison_run_fails_and_the_fleet_serves_others() -> None:
    async with running(webs=1, workers=2, max_attempts=3) as cluster:
        client = Client(cluster.webs[0].url)
        poisoned = str(uuid.uuid4())
        poison = await client.start("poison", {"upto": 1}, poisoned)
        others = [(str(uuid.uuid4()), 0) for _ in range(6)]
        runs = [
            (thread_id, await client.start("steps", {"upto": 3, "pause_s": 0.1}, thread_id)) for thread_id, _ in others
        ]
        reader = Reader(poison)
        over = asyncio.gather(
            reader.follow(client.urls, poisoned),
            *(Reader(run_id).follow(client.urls, thread_id) for thread_id, run_id in runs),
        )
        while not over.done():
            _start_dead(cluster)
            await asyncio.wait([over], timeout=0.05)
        await over
        failed = await client.run(poisoned, poison)
        assert (failed["status"], failed["phase"], failed["error"]["code"]) == ("error", "failed", "ceiling.attempts")
        assert (await client.thread(poisoned))["status"] == "error"
        assert len(cluster.effects.of(poison)) == 3
        reader_has_all(reader, await cluster.log_of(poison))
        for thread_id, run_id in runs:
            await whole(cluster, client, thread_id, run_id, 3)
        await client.close()


def _start_dead(cluster: Cluster) -> None:
    """A supervisor's part."""
    for worker in cluster.workers:
        if not worker.alive:
            worker.start()


@pytest.mark.parametrize("poisons", [1, 3])
async def test_poison_runs_do_not_spend_the_attempts_of_those_beside_them(poisons: int) -> None:
    async with running(webs=1) as cluster:
        cluster.add_worker(processes=2).start()
        client = Client(cluster.webs[0].url)
        kinds = [("steps", {"upto": 12, "pause_s": 0.4})] * 10 + [("poison", {"upto": 1})] * poisons
        runs = [
            (graph, thread_id, await client.start(graph, given, thread_id))
            for graph, given in kinds
            for thread_id in [str(uuid.uuid4())]
        ]
        await asyncio.gather(*(Reader(run_id).follow(client.urls, thread_id) for _, thread_id, run_id in runs))
        attempts = []
        for graph, thread_id, run_id in runs:
            record = await cluster.run(run_id)
            if graph == "poison":
                assert (record["phase"], record["reason"]) == ("failed", "ceiling.attempts")
            else:
                attempts.append(await whole(cluster, client, thread_id, run_id, 12))
                assert attempts[-1] - int(record["uncounted_attempts"]) <= 1 + poisons
        print(f"{poisons} poison runs; attempts of the innocent: {sorted(attempts)}")
        await client.close()


async def test_nobody_is_there_and_then_one_is(cluster: Cluster, client: Client) -> None:
    begun, waiting, gate = str(uuid.uuid4()), str(uuid.uuid4()), cluster.gate()
    first = await client.start("steps", {"until": str(gate), "pause_s": 0.1}, begun)
    await held(cluster, first, 2)
    await asyncio.gather(*(worker.kill() for worker in cluster.workers))
    second = await client.start("steps", {"upto": 2}, waiting)
    assert (await client.run(waiting, second))["phase"] == "queued"
    gate.touch()
    await cluster.restart(cluster.workers[0])
    readers = Reader(first), Reader(second)
    await asyncio.gather(readers[0].follow(client.urls, begun), readers[1].follow(client.urls, waiting))
    assert await whole(cluster, client, begun, first) == 2
    assert await whole(cluster, client, waiting, second, 2) == 1
    assert repetition(cluster.effects.of(first)).most <= 1
