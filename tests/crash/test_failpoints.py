"""A worker is killed at each failpoint of an attempt; another continues, and nothing is lost or streamed twice."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import uuid
from collections import Counter
from collections.abc import AsyncIterator
from typing import Any

import psutil
import pytest
import pytest_asyncio

from slipway import failpoints
from tests.crash.checks import assert_log_is_complete, assert_log_is_consistent, assert_reader_received_all
from tests.crash.clients import Client, Reader
from tests.crash.cluster import Cluster, Process
from tests.crash.effects import repetition
from tests.crash.moved_threads import answer, assert_moved_once, checkpoints, questions
from tests.crash.shared_cluster import SharedCluster
from tests.waiting import wait_until

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(120)]
UPTO = 6


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shared() -> AsyncIterator[SharedCluster]:
    async with SharedCluster(webs=1) as shared:
        yield shared


@pytest_asyncio.fixture(loop_scope="module")
async def cluster(shared: SharedCluster, request: pytest.FixtureRequest) -> AsyncIterator[Cluster]:
    """The shared cluster without workers. Each test starts its own workers; they are killed after the test."""
    async with shared.cluster_for(request.node) as cluster:
        yield cluster
        await cluster.kill_workers()


STEPS: dict[str, Any] = {"upto": UPTO, "pause_s": 0.02}


async def run_until_killed(
    cluster: Cluster, client: Client, failpoint: str, graph: str = "steps"
) -> tuple[Process, list[tuple[str, str]]]:
    """Start a worker that kills itself at `failpoint` and a second worker, then start runs until the first worker is
    dead. Returns it and (thread id, run id) of each run."""
    doomed, _ = await asyncio.gather(cluster.start_worker(failpoint), cluster.start_worker())
    runs: list[tuple[str, str]] = []
    for _ in range(20):
        thread_id = str(uuid.uuid4())
        run_id = await client.start(graph, STEPS if graph == "steps" else {"upto": 1}, thread_id)
        runs.append((thread_id, run_id))
        await Reader(run_id).follow(client.urls, thread_id)
        if failpoint == "after_settle" and cluster.effects.of_run(run_id)[-1].pid == doomed.pid:
            await doomed.wait_for_exit()  # it could still claim a run that starts before it is dead
        if not doomed.alive:
            return doomed, runs
    raise AssertionError(f"no run reached the failpoint {failpoint}")


@pytest.mark.parametrize(
    "failpoint", ["claim", "guard", "load", "superstep:3", "checkpoint:4", "before_settle", "after_settle"]
)
async def test_a_run_continues_after_its_worker_was_killed_at(failpoint: str, cluster: Cluster, client: Client) -> None:
    _, runs = await run_until_killed(cluster, client, failpoint)
    for thread_id, run_id in runs:
        run, thread = await asyncio.gather(client.run(thread_id, run_id), client.thread(thread_id))
        assert (run["status"], thread["status"]) == ("success", "idle")
        assert thread["values"]["trail"] == list(range(1, UPTO + 1))
        reader = Reader(run_id)
        await reader.follow(client.urls, thread_id)
        assert reader.counts() == list(range(1, UPTO + 1))
        assert_reader_received_all(reader, await cluster.log_of(run_id))
        assert_log_is_consistent(await cluster.log_of(run_id), run["attempt"])
        repeated = repetition(cluster.effects.of_run(run_id))
        assert repeated.most <= 1
        assert not repeated.skipped
    attempts = sorted([(await client.run(*run))["attempt"] for run in runs])
    assert attempts[-1] == (1 if failpoint == "after_settle" else 2)


async def test_an_interrupt_that_was_streamed_before_a_kill_is_streamed_once(cluster: Cluster, client: Client) -> None:
    _, runs = await run_until_killed(cluster, client, "before_settle", "asks")
    for thread_id, run_id in runs:
        log = await cluster.log_of(run_id)
        assert_log_is_consistent(log, (await client.run(thread_id, run_id))["attempt"])
        assert_log_is_complete(log, "asks", {"upto": 1})
        assert (await client.thread(thread_id))["status"] == "interrupted"


async def test_results_of_a_killed_fan_out_are_in_the_log_once(cluster: Cluster, client: Client) -> None:
    worker, thread_id, gate = await cluster.start_worker(), str(uuid.uuid4()), cluster.gate()
    modes = ["updates", "tasks", "debug", "checkpoints", "values"]
    graph_input = {"parts": [0, 0.01, 0.02, str(gate)]}
    run_id = await client.start("fan", graph_input, thread_id, stream_mode=modes, stream_subgraphs=True)

    async def three_results_are_logged() -> bool:
        return sum(name == "updates" for _, name, _ in await cluster.log_of(run_id)) == 3

    await wait_until(three_results_are_logged)
    await worker.kill()
    await cluster.start_worker()
    gate.touch()
    await Reader(run_id).follow(client.urls, thread_id)
    assert (await client.run(thread_id, run_id))["attempt"] == 2
    log = await cluster.log_of(run_id)
    assert_log_is_consistent(log, 2)
    updates = Counter(frame for _, name, frame in log if name == "updates")
    assert (len(updates), set(updates.values())) == (5, {1})
    results = Counter(
        (name, data.get("payload", data)["id"])
        for name, data in ((name, json.loads(frame.partition(b"data: ")[2])) for _, name, frame in log)
        if name in ("tasks", "debug") and "result" in data.get("payload", data)
    )
    assert (len(results), set(results.values())) == (10, {1})


@pytest.mark.parametrize(
    "failpoint", ["claim", "guard", "load", "superstep:3", "checkpoint:4", "before_settle", "after_settle"]
)
async def test_an_attempt_continues_after_valkey_was_killed_at(
    failpoint: str, cluster: Cluster, client: Client
) -> None:
    """The worker is suspended at the failpoint until Valkey is dead, and resumes while Valkey restarts."""
    thread_id = str(uuid.uuid4())
    halted = await cluster.start_worker(failpoint, failpoints.HALT)
    run_id = await client.start("steps", {"upto": UPTO, "pause_s": 0.05}, thread_id)
    following = asyncio.create_task(Reader(run_id).follow(client.urls, thread_id))
    beside = (
        None if failpoint == "after_settle" else following
    )  # the reader may receive `end` before the worker is suspended
    await wait_until(lambda: psutil.Process(halted.pid).status() == psutil.STATUS_STOPPED, beside=beside)
    await cluster.valkey.kill()
    halted.resume()
    await cluster.start_valkey()
    await following
    run, log = await client.run(thread_id, run_id), await cluster.log_of(run_id)
    assert (run["status"], run["attempt"]) == ("success", 1)
    assert (await client.thread(thread_id))["values"]["trail"] == list(range(1, UPTO + 1))
    assert_log_is_consistent(log, 1)
    reader = Reader(run_id)
    await reader.follow(client.urls, thread_id)
    assert_reader_received_all(reader, log)
    assert set(cluster.effects.times_done(run_id).values()) == {1}


async def test_a_run_is_executed_again_after_valkey_lost_its_end(cluster: Cluster, client: Client) -> None:
    """A power cut loses the last writes; with `appendfsync everysec`, also a kill of Valkey while the disk is slow."""
    thread_id = str(uuid.uuid4())
    worker = await cluster.start_worker("before_settle", failpoints.HALT)
    run_id = await client.start("steps", {"upto": UPTO, "pause_s": 0.05}, thread_id)
    first, again = Reader(run_id), Reader(run_id)
    following = asyncio.create_task(first.follow(client.urls, thread_id))
    await wait_until(lambda: psutil.Process(worker.pid).status() == psutil.STATUS_STOPPED, beside=following)
    saved_bytes = cluster.append_only_file().stat().st_size
    worker.resume()
    await following
    await cluster.valkey.kill()
    os.truncate(cluster.append_only_file(), saved_bytes)
    await cluster.start_valkey()
    assert (await client.run(thread_id, run_id))["status"] == "running"

    await again.follow(client.urls, thread_id)
    run, log = await client.run(thread_id, run_id), await cluster.log_of(run_id)
    assert (run["status"], run["attempt"]) == ("success", 2)
    assert (await client.thread(thread_id))["values"]["trail"] == list(range(1, UPTO + 1))
    assert_log_is_consistent(log, 2)
    assert_reader_received_all(again, log)
    assert repetition(cluster.effects.of_run(run_id)).most <= 1
    first.ended = False  # the client resumes after the lost `end`
    await first.follow(client.urls, thread_id)
    assert first.ids[-1] == again.ids[-1]


async def test_a_worker_releases_a_run_although_valkey_is_killed(cluster: Cluster, client: Client) -> None:
    thread_id, gate = str(uuid.uuid4()), cluster.gate()
    leaving = await cluster.start_worker("release", failpoints.HALT)
    run_id = await client.start("steps", {"until": str(gate), "pause_s": 0.1}, thread_id)
    await wait_until(lambda: cluster.effects.has_started(run_id, 2))
    leaving.signal(signal.SIGTERM)
    await wait_until(lambda: psutil.Process(leaving.pid).status() == psutil.STATUS_STOPPED)
    await cluster.valkey.kill()
    leaving.resume()
    await cluster.start_valkey()
    assert await leaving.wait_for_exit(30) == 0
    gate.touch()
    await cluster.start_worker()
    reader = Reader(run_id)
    await reader.follow(client.urls, thread_id)
    run = await client.run(thread_id, run_id)
    assert (run["status"], run["attempt"]) == ("success", 2)
    assert_log_is_consistent(await cluster.log_of(run_id), 2)
    assert repetition(cluster.effects.of_run(run_id)).supersteps == 0


async def test_a_run_continues_after_its_worker_was_killed_during_a_release(cluster: Cluster, client: Client) -> None:
    thread_id, gate = str(uuid.uuid4()), cluster.gate()
    doomed = await cluster.start_worker("release")
    run_id = await client.start("steps", {"until": str(gate), "pause_s": 0.1}, thread_id)
    await wait_until(lambda: cluster.effects.has_started(run_id, 2))
    doomed.signal(signal.SIGTERM)
    assert await doomed.wait_for_exit(30) == -signal.SIGKILL
    gate.touch()
    await cluster.start_worker()
    reader = Reader(run_id)
    await reader.follow(client.urls, thread_id)
    assert (await client.run(thread_id, run_id))["attempt"] == 2
    assert reader.counts() == list(range(1, len(reader.counts()) + 1))
    # the script that releases the run also stores what the last superstep wrote
    assert repetition(cluster.effects.of_run(run_id)).supersteps <= 1


async def open_interrupts(client: Client, thread_id: str) -> dict[str, str]:
    """The values of the open interrupts of the thread, by id."""
    interrupts = (await client.thread(thread_id))["interrupts"]
    return {item["id"]: item["value"] for items in interrupts.values() for item in items}


@pytest.mark.parametrize(
    "failpoint", ["claim", "load", "superstep", "checkpoint", "checkpoint:2", "before_settle", "after_settle"]
)
async def test_answers_by_interrupt_id_are_applied_once(failpoint: str, cluster: Cluster, client: Client) -> None:
    first, thread_id = await cluster.start_worker(), str(uuid.uuid4())
    run_id = await client.start("talks", {"answers": []}, thread_id)
    await Reader(run_id).follow(client.urls, thread_id)
    await first.kill()
    doomed = await cluster.start_worker(failpoint)
    for question in ("first?", "second?"):
        interrupts = await open_interrupts(client, thread_id)
        assert list(interrupts.values()) == [question] * 2
        resume = {interrupt_id: f"{question} {number}" for number, interrupt_id in enumerate(sorted(interrupts))}
        run_id = await client.start("talks", None, thread_id, command={"resume": resume})
        following = asyncio.create_task(Reader(run_id).follow(client.urls, thread_id))
        await wait_until(lambda: following.done() or not doomed.alive)  # noqa: B023
        if not any(worker.alive for worker in cluster.workers):
            await cluster.start_worker()
        await following
    answers = (await client.thread(thread_id))["values"]["answers"]
    assert [line.split()[0] for line in answers] == ["first?", "second?"] * 2


@pytest.mark.parametrize("failpoint", ["thread_move", "thread_moved"])
async def test_a_thread_is_moved_once_although_its_worker_was_killed_at(
    failpoint: str, cluster: Cluster, client: Client
) -> None:
    thread_id = str(uuid.uuid4())
    doomed = await cluster.start_worker(failpoint)
    first = await client.start("moving", {"log": []}, thread_id, metadata={"slipway_version": "1"})
    await Reader(first).follow(client.urls, thread_id)
    before, asked = await checkpoints(client, thread_id), await client.thread(thread_id)
    question = (await questions(client, thread_id))["b"]
    claimed = await client.call("POST", f"/ops/reviews/{first}:{question}/claim")

    second = await answer(client, thread_id, "a")
    await doomed.wait_for_exit()
    killed = await client.thread(thread_id)
    if failpoint == "thread_move":
        assert (killed["version"], killed["interrupts"]) == ("1", asked["interrupts"])
        assert await checkpoints(client, thread_id) == before
    else:
        assert killed["version"] == "2"
        tasks = (await client.call("GET", f"/threads/{thread_id}/state"))["tasks"]
        assert killed["interrupts"].keys() == {task["id"] for task in tasks if task["interrupts"]}
        assert killed["interrupts"].keys().isdisjoint(asked["interrupts"])
        await assert_moved_once(client, thread_id, before)
    await cluster.start_worker()
    await Reader(second).follow(client.urls, thread_id)
    run = await client.run(thread_id, second)
    assert (run["phase"], run["version"], run["attempt"]) == ("waiting_for_approval", "2", 2)
    assert await questions(client, thread_id) == {"b": question}
    review = await client.call("GET", f"/ops/reviews/{second}:{question}")
    kept = ("state", "assignee", "due_at")
    assert [review[name] for name in kept] == [claimed[name] for name in kept]
    assert (review["state"], review["due_at"] is None) == ("claimed", False)

    third = await answer(client, thread_id, "b")
    await Reader(third).follow(client.urls, thread_id)
    thread = await client.thread(thread_id)
    assert (thread["status"], thread["values"]["log"]) == (
        "idle",
        ["plan@1", "a:yes@2", "b:yes@2", "quick@1", "last@2"],
    )
    await assert_moved_once(client, thread_id, before)
    done = sum((cluster.effects.times_done(run_id) for run_id in (first, second, third)), Counter())
    assert Counter(task for _, task in done.elements()) == Counter(["plan", "quick", "ask a", "ask b", "last"])
