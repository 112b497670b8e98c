"""Workers are killed at each step of a call of a tool that writes, and while they call models."""

from __future__ import annotations

import asyncio
import os
import uuid
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from slipway import failpoints
from slipway.runs.queue_scripts import QueueScripts
from tests.crash.clients import Client, Reader
from tests.crash.cluster import Cluster
from tests.crash.operated_histories import histories
from tests.crash.shared_cluster import SharedCluster
from tests.waiting import wait_until

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(120)]

HISTORIES = int(os.environ.get("SLIPWAY_TEST_SEEDS", "2"))
PROJECT = Path(__file__).with_name("tools_project") / "langgraph.json"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shared() -> AsyncIterator[SharedCluster]:
    async with SharedCluster(webs=1, project=PROJECT) as shared:
        yield shared


@pytest_asyncio.fixture(loop_scope="module")
async def cluster(shared: SharedCluster, request: pytest.FixtureRequest) -> AsyncIterator[Cluster]:
    """The shared cluster without workers. Each test starts its own workers; they are killed after the test."""
    async with shared.cluster_for(request.node) as cluster:
        yield cluster
        await cluster.kill_workers()


def refunds_of(cluster: Cluster, order: str) -> list[str]:
    """The idempotency key of each time that the order was refunded."""
    file = Path(f"{cluster.effects.path}.refunds")
    lines = file.read_text().splitlines() if file.exists() else []
    return [line.removeprefix(f"{order} ") for line in lines if line.startswith(f"{order} ")]


async def run_until_killed(cluster: Cluster, run_id: str, failpoint: str) -> None:
    """A new worker executes the run until it kills itself at the failpoint. Then the run is reclaimed, as a supervisor
    does that notices the death."""
    doomed = cluster.add_worker()
    doomed.start(**{failpoints.VARIABLE: failpoint})  # it may be dead before anybody sees that it is ready
    await doomed.wait_for_exit(30)
    cluster.workers.remove(doomed)
    worker = (await cluster.run(run_id))["worker"]
    scripts = QueueScripts(cluster.pipeline, cluster.keys)
    assert (await scripts.run_reap(event_ttl_s=600, pause_ms=0, worker=worker)).runs


async def test_a_call_continues_after_its_worker_was_killed_at_each_step(cluster: Cluster, client: Client) -> None:
    """The call is in the first superstep of a subgraph, of a run that nobody follows: nothing is stored before it but
    what the call itself makes sure of."""
    thread_id, order = str(uuid.uuid4()), uuid.uuid4().hex
    run_id = await client.start("refunds", {"order": order}, thread_id)
    for failpoint, refunds in (("tool_acted", 1), ("tool_called", 1), ("tool_begun", 1), ("tool_ended", 2)):
        await run_until_killed(cluster, run_id, failpoint)
        assert len(refunds_of(cluster, order)) == refunds, failpoint
    await cluster.start_worker()
    await Reader(run_id).follow(client.urls, thread_id)
    run, thread = await asyncio.gather(client.run(thread_id, run_id), client.thread(thread_id))
    assert (run["status"], run["attempt"]) == ("success", 5)
    assert thread["values"]["results"] == [f"refunded {order}"]
    keys = refunds_of(cluster, order)
    assert (len(keys), len(set(keys))) == (2, 1), "only between act and end it is executed again, with the same key"


async def test_an_approved_call_is_made_once_although_its_worker_is_killed(cluster: Cluster, client: Client) -> None:
    """Killed before the approval is proved, between the approval and the act, and when the result is stored."""
    worker = await cluster.start_worker()
    thread_id, order = str(uuid.uuid4()), uuid.uuid4().hex
    run_id = await client.start("approved_refunds", {"order": order}, thread_id)
    await Reader(run_id).follow(client.urls, thread_id)
    await worker.kill()
    (review,) = (await client.call("GET", "/ops/reviews"))["reviews"]
    decided = await client.call("POST", f"/ops/reviews/{review['review_id']}/decide", {"kind": "approve"})
    resumed = decided["resumed_by"]
    for failpoint in ("tool_called", "tool_begun", "tool_ended"):
        await run_until_killed(cluster, resumed, failpoint)
        assert len(refunds_of(cluster, order)) == (failpoint == "tool_ended"), failpoint
    await cluster.start_worker()
    await Reader(resumed).follow(client.urls, thread_id)
    run, thread = await asyncio.gather(client.run(thread_id, resumed), client.thread(thread_id))
    assert (run["status"], thread["values"]["results"]) == ("success", [f"refunded {order}"])
    assert len(refunds_of(cluster, order)) == 1


@pytest.mark.timeout(60 + 10 * HISTORIES)
async def test_operators_reviewers_and_kills_make_no_call_twice_and_lose_no_run(cluster: Cluster) -> None:
    """`SLIPWAY_TEST_SEEDS` sets the number of histories."""
    await asyncio.gather(*(cluster.start_worker() for _ in range(2)))
    print(await histories(cluster, range(HISTORIES), 8 if HISTORIES <= 2 else 30))


@pytest.mark.parametrize(("blocks", "kills"), [(False, (1, 2, 5)), (True, (2,))])
async def test_no_call_of_a_model_is_forgotten_when_its_worker_is_killed(
    cluster: Cluster, client: Client, blocks: bool, kills: tuple[int, ...]
) -> None:
    """The usage never goes down, and always has all calls that were made. So the chain ends before it has passed its
    ceiling, although each attempt begins its node again."""
    thread_id, order = str(uuid.uuid4()), uuid.uuid4().hex
    run_id = await client.start("thinker", {"order": order, "kills": kills, "blocks": blocks}, thread_id)
    used = 0
    for killed_in in kills:
        await (await cluster.start_worker()).wait_for_exit(30)
        worker = (await cluster.run(run_id))["worker"]
        scripts = QueueScripts(cluster.pipeline, cluster.keys)
        assert (await scripts.run_reap(event_ttl_s=600, pause_ms=0, worker=worker)).runs
        usage = (await client.run(thread_id, run_id))["usage"]
        assert usage["tokens"]["total"] >= max(used, 30 * killed_in)
        used = usage["tokens"]["total"]
    await cluster.start_worker()
    await Reader(run_id).follow(client.urls, thread_id)
    run = await client.run(thread_id, run_id)
    calls = Path(f"{cluster.effects.path}.calls").read_text().splitlines().count(order)
    assert run["error"]["code"] == "ceiling.tokens"
    assert calls > kills[-1]
    assert used <= run["usage"]["tokens"]["total"] <= 300
    assert run["usage"]["unmetered_calls"] == len(kills)
    assert 30 * calls <= 300


async def test_a_synchronous_call_of_another_worker_cannot_use_the_rest_of_a_budget(
    cluster: Cluster, client: Client
) -> None:
    """The budget has room for one call, which the first worker makes when the second wants to make another. Its event
    loop is blocked all the time."""
    order, gate = uuid.uuid4().hex, cluster.gate()
    calls, thread_ids = Path(f"{cluster.effects.path}.calls"), [str(uuid.uuid4()), str(uuid.uuid4())]
    runs = []
    for thread_id in thread_ids:
        await cluster.start_worker()
        runs.append(await client.start("one_thought", {"order": order, "gate": str(gate)}, thread_id))
        await wait_until(lambda: calls.exists() and order in calls.read_text())
    await Reader(runs[1]).follow(client.urls, thread_ids[1])
    assert (await client.run(thread_ids[1], runs[1]))["error"]["scope"] == "graph/day"
    gate.touch()
    await Reader(runs[0]).follow(client.urls, thread_ids[0])
    first = await client.run(thread_ids[0], runs[0])
    assert (first["phase"], first["usage"]["tokens"]["total"]) == ("completed", 30)
    assert calls.read_text().splitlines().count(order) == 1
