"""A worker is killed at every named step of an attempt; another carries on, and nothing is lost or told twice."""

from __future__ import annotations

import asyncio
import json
import signal
import uuid
from collections import Counter
from collections.abc import AsyncIterator
from typing import Any

import psutil
import pytest
import pytest_asyncio

from app import failpoints
from tests.conftest import wait_until
from tests.crash.checks import log_is_whole, log_tells_all, reader_has_all
from tests.crash.clients import Client, Reader
from tests.crash.cluster import Cluster, Process, running
from tests.crash.effects import repetition

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(120)]
UPTO = 6


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def cluster() -> AsyncIterator[Cluster]:
    async with running(webs=1, workers=1) as cluster:
        yield cluster


STEPS: dict[str, Any] = {"upto": UPTO, "pause_s": 0.02}


async def killed_at(
    cluster: Cluster, client: Client, failpoint: str, graph: str = "steps"
) -> tuple[Process, list[tuple[str, str]]]:
    """Start a worker that dies at `failpoint`, and runs until it has died of one. Returns all (thread, run)."""
    doomed = await cluster.start_worker(failpoint)
    made: list[tuple[str, str]] = []
    for _ in range(20):
        thread_id = str(uuid.uuid4())
        run_id = await client.start(graph, STEPS if graph == "steps" else {"upto": 1}, thread_id)
        made.append((thread_id, run_id))
        await Reader(run_id).follow(client.urls, thread_id)
        if not doomed.alive:
            return doomed, made
    raise AssertionError(f"no run led the worker to {failpoint}")


@pytest.mark.parametrize(
    "failpoint", ["claim", "guard", "load", "superstep:3", "checkpoint:4", "before_settle", "after_settle"]
)
async def test_a_worker_killed_at(failpoint: str, cluster: Cluster) -> None:
    client = Client(*(web.url for web in cluster.webs))
    _, made = await killed_at(cluster, client, failpoint)
    for thread_id, run_id in made:
        run, thread = await asyncio.gather(client.run(thread_id, run_id), client.thread(thread_id))
        assert (run["status"], thread["status"]) == ("success", "idle")
        assert thread["values"]["trail"] == list(range(1, UPTO + 1))
        reader = Reader(run_id)
        await reader.follow(client.urls, thread_id)
        assert reader.counts() == list(range(1, UPTO + 1))
        reader_has_all(reader, await cluster.log_of(run_id))
        log_is_whole(await cluster.log_of(run_id), run["attempt"])
        done_again = repetition(cluster.effects.of(run_id))
        assert done_again.most <= 1
        assert not done_again.forgotten
    attempts = sorted([(await client.run(*run))["attempt"] for run in made])
    assert attempts[-1] == (1 if failpoint == "after_settle" else 2)
    await client.close()


async def test_a_question_that_was_told_before_a_death_is_told_once(cluster: Cluster) -> None:
    client = Client(*(web.url for web in cluster.webs))
    _, made = await killed_at(cluster, client, "before_settle", "asks")
    for thread_id, run_id in made:
        log = await cluster.log_of(run_id)
        log_is_whole(log, (await client.run(thread_id, run_id))["attempt"])
        log_tells_all(log, "asks", {"upto": 1})
        assert (await client.thread(thread_id))["status"] == "interrupted"
    await client.close()


async def test_results_of_a_fan_out_that_was_killed_are_in_the_log_once(cluster: Cluster) -> None:
    client, thread_id, gate = Client(*(web.url for web in cluster.webs)), str(uuid.uuid4()), cluster.gate()
    modes = ["updates", "tasks", "debug", "checkpoints", "values"]
    given = {"parts": [0, 0.01, 0.02, str(gate)]}
    run_id = await client.start("fan", given, thread_id, stream_mode=modes, stream_subgraphs=True)

    async def others_are_logged() -> bool:
        return sum(name == "updates" for _, name, _ in await cluster.log_of(run_id)) == 3

    await wait_until(others_are_logged)
    holder = await cluster.holder(run_id)
    assert holder is not None
    await holder.kill()
    await cluster.restart(holder)
    gate.touch()
    await Reader(run_id).follow(client.urls, thread_id)
    assert (await client.run(thread_id, run_id))["attempt"] == 2
    log = await cluster.log_of(run_id)
    log_is_whole(log, 2)
    updates = Counter(frame for _, name, frame in log if name == "updates")
    assert (len(updates), set(updates.values())) == (5, {1})
    results = Counter(
        (name, data.get("payload", data)["id"])
        for name, data in ((name, json.loads(frame.partition(b"data: ")[2])) for _, name, frame in log)
        if name in ("tasks", "debug") and "result" in data.get("payload", data)
    )
    assert (len(results), set(results.values())) == (10, {1})
    await client.close()


@pytest.mark.parametrize(
    "failpoint", ["claim", "guard", "load", "superstep:3", "checkpoint:4", "before_settle", "after_settle"]
)
async def test_valkey_killed_while_a_worker_is_at(failpoint: str, cluster: Cluster) -> None:
    """The worker stands still there until Valkey is gone, and goes on while it comes back."""
    client, thread_id = Client(*(web.url for web in cluster.webs)), str(uuid.uuid4())
    other = cluster.workers[0]
    await other.kill()
    halted = await cluster.start_worker(failpoint, failpoints.HALT)
    run_id = await client.start("steps", {"upto": UPTO, "pause_s": 0.05}, thread_id)
    following = asyncio.create_task(Reader(run_id).follow(client.urls, thread_id))
    await wait_until(lambda: psutil.Process(halted.pid).status() == psutil.STATUS_STOPPED, beside=following)
    await cluster.valkey.kill()
    halted.go_on()
    await cluster.start_valkey()
    await following
    run, log = await client.run(thread_id, run_id), await cluster.log_of(run_id)
    assert (run["status"], run["attempt"]) == ("success", 1)
    assert (await client.thread(thread_id))["values"]["trail"] == list(range(1, UPTO + 1))
    log_is_whole(log, 1)
    reader = Reader(run_id)
    await reader.follow(client.urls, thread_id)
    reader_has_all(reader, log)
    assert set(cluster.effects.done(run_id).values()) == {1}
    await halted.kill()
    await cluster.restart(other)
    await client.close()


async def test_valkey_killed_while_a_worker_hands_a_run_back(cluster: Cluster) -> None:
    client, thread_id, gate = Client(*(web.url for web in cluster.webs)), str(uuid.uuid4()), cluster.gate()
    other = cluster.workers[0]
    await other.kill()
    leaving = await cluster.start_worker("release", failpoints.HALT)
    run_id = await client.start("steps", {"until": str(gate), "pause_s": 0.1}, thread_id)
    await wait_until(lambda: cluster.effects.begun(run_id, 2))
    leaving.signal(signal.SIGTERM)
    await wait_until(lambda: psutil.Process(leaving.pid).status() == psutil.STATUS_STOPPED)
    await cluster.valkey.kill()
    leaving.go_on()
    await cluster.start_valkey()
    assert await leaving.gone(30) == 0
    gate.touch()
    await cluster.restart(other)
    reader = Reader(run_id)
    await reader.follow(client.urls, thread_id)
    run = await client.run(thread_id, run_id)
    assert (run["status"], run["attempt"]) == ("success", 2)
    log_is_whole(await cluster.log_of(run_id), 2)
    assert repetition(cluster.effects.of(run_id)).supersteps == 0
    await client.close()


async def test_a_worker_killed_while_it_hands_a_run_back(cluster: Cluster) -> None:
    client, thread_id, gate = Client(*(web.url for web in cluster.webs)), str(uuid.uuid4()), cluster.gate()
    other = cluster.workers[0]
    await other.kill()
    doomed = await cluster.start_worker("release")
    run_id = await client.start("steps", {"until": str(gate), "pause_s": 0.1}, thread_id)
    await wait_until(lambda: cluster.effects.begun(run_id, 2))
    doomed.signal(signal.SIGTERM)
    assert await doomed.gone(30) == -signal.SIGKILL
    gate.touch()
    await cluster.restart(other)
    reader = Reader(run_id)
    await reader.follow(client.urls, thread_id)
    assert (await client.run(thread_id, run_id))["attempt"] == 2
    assert reader.counts() == list(range(1, len(reader.counts()) + 1))
    assert repetition(cluster.effects.of(run_id)).supersteps == 0  # it had come to a boundary
    await client.close()


async def _asked(client: Client, thread_id: str) -> dict[str, str]:
    """The thread's open questions, by the id of their interrupt."""
    interrupts = (await client.thread(thread_id))["interrupts"]
    return {item["id"]: item["value"] for items in interrupts.values() for item in items}


@pytest.mark.parametrize(
    "failpoint", ["claim", "load", "superstep", "checkpoint", "checkpoint:2", "before_settle", "after_settle"]
)
async def test_answers_that_name_their_questions_are_taken_once(failpoint: str, cluster: Cluster) -> None:
    client, thread_id = Client(*(web.url for web in cluster.webs)), str(uuid.uuid4())
    other = cluster.workers[0]
    run_id = await client.start("talks", {"said": []}, thread_id)
    await Reader(run_id).follow(client.urls, thread_id)
    await other.kill()
    doomed = await cluster.start_worker(failpoint)
    for question in ("first?", "second?"):
        asked = await _asked(client, thread_id)
        assert list(asked.values()) == [question] * 2
        resume = {ident: f"{question} {number}" for number, ident in enumerate(sorted(asked))}
        run_id = await client.start("talks", None, thread_id, command={"resume": resume})
        following = asyncio.create_task(Reader(run_id).follow(client.urls, thread_id))
        await wait_until(lambda: following.done() or not doomed.alive)  # noqa: B023
        if not other.alive and not doomed.alive:
            await cluster.restart(other)
        await following
    said = (await client.thread(thread_id))["values"]["said"]
    assert [line.split()[0] for line in said] == ["first?", "second?"] * 2
    await doomed.kill()
    if not other.alive:
        await cluster.restart(other)
    await client.close()
