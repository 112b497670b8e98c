"""Deploys and outages: processes receive SIGTERM, web processes and Valkey are killed, Valkey is suspended, connections
are cut."""

from __future__ import annotations

import asyncio
import signal
import time
import uuid
from collections.abc import AsyncIterator
from functools import partial
from typing import Any

import pytest
import pytest_asyncio
from langgraph_sdk import get_client

from tests.crash.checks import assert_log_is_consistent, assert_reader_received_all
from tests.crash.clients import Client, Reader
from tests.crash.cluster import LEASE_S, Cluster, running
from tests.crash.effects import repetition
from tests.crash.shared_cluster import SharedCluster
from tests.proxy import tcp_proxied
from tests.waiting import wait_until

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(120)]

StartedRuns = list[tuple[str, str]]
"""(thread id, run id) of each run."""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shared() -> AsyncIterator[SharedCluster]:
    async with SharedCluster(webs=2, workers=2, max_runs_per_worker=100, drain_s=3) as shared:
        yield shared


async def start_runs(cluster: Cluster, client: Client, count: int, **graph_input: object) -> StartedRuns:
    """Start `count` runs of `steps`, and return when each has started its first superstep."""
    threads = [str(uuid.uuid4()) for _ in range(count)]
    runs = await asyncio.gather(*(client.start("steps", graph_input, thread_id) for thread_id in threads))
    await wait_until(lambda: set(runs) <= {effect.run for effect in cluster.effects.all()})
    return list(zip(threads, runs, strict=True))


def follow_runs(client: Client, runs: StartedRuns) -> tuple[list[Reader], asyncio.Future[list[None]]]:
    """A reader of each run, and a future that is done when all have read to the end, or fails with the first."""
    readers = [Reader(run_id) for _, run_id in runs]
    following = [reader.follow(client.urls, thread_id) for reader, (thread_id, _) in zip(readers, runs, strict=True)]
    return readers, asyncio.gather(*following)


async def assert_runs_completed(
    cluster: Cluster, client: Client, runs: StartedRuns, upto: int | None, most_repeated: int = 1
) -> list[int]:
    """Wait for the end of the runs, check state, log, reader and effects of each, and return their counted attempts.
    Without `upto`, any number of supersteps is accepted."""
    readers, following = follow_runs(client, runs)
    await following
    pairs = list(zip(readers, runs, strict=True))
    counted_attempts = []
    for reader, (thread_id, run_id) in pairs:
        record, thread = await cluster.run(run_id), await client.thread(thread_id)
        assert (record["phase"], thread["status"]) == ("completed", "idle")
        trail = thread["values"]["trail"]
        assert trail == list(range(1, (upto or len(trail)) + 1))
        log = await cluster.log_of(run_id)
        assert_log_is_consistent(log, int(record["attempt"]))
        assert_reader_received_all(reader, log)
        repeated = repetition(cluster.effects.of_run(run_id))
        assert repeated.most <= most_repeated
        assert not repeated.skipped
        counted_attempts.append(int(record["attempt"]) - int(record.get("uncounted_attempts", 0)))
    return counted_attempts


async def test_a_worker_that_drains_releases_50_runs(cluster: Cluster, client: Client) -> None:
    runs = await start_runs(cluster, client, 50, upto=8, pause_s=0.4)
    first, _ = cluster.workers
    signalled_at = time.monotonic()
    for _ in range(3):  # a platform may signal each process of a group, and more than once
        first.signal(signal.SIGTERM)
    assert await first.wait_for_exit(25) == 0
    print(f"drained 50 runs in {time.monotonic() - signalled_at:.2f} s")
    assert set(await assert_runs_completed(cluster, client, runs, 8, most_repeated=0)) == {1}


async def test_an_attempt_that_repeats_a_superstep_after_a_drain_appends_metadata(
    cluster: Cluster, client: Client
) -> None:
    gate = cluster.gate()
    runs = await start_runs(cluster, client, 2, upto=1, how="hold", until=str(gate))
    for worker in cluster.workers:
        worker.signal(signal.SIGTERM)
    for worker in cluster.workers:
        assert await worker.wait_for_exit(25) == 0
    gate.touch()
    await cluster.restart(cluster.workers[0])
    assert set(await assert_runs_completed(cluster, client, runs, 1)) == {1}
    for _, run_id in runs:
        assert [name for _, name, _ in await cluster.log_of(run_id)].count("metadata") == 2


async def test_clients_of_a_killed_web_process_receive_each_event_once(cluster: Cluster, client: Client) -> None:
    gate = cluster.gate()
    runs = await start_runs(cluster, client, 5, until=str(gate), pause_s=0.2)
    readers, following = follow_runs(client, runs)
    await wait_until(lambda: all(reader.counts() for reader in readers), beside=following)
    await cluster.webs[0].kill()
    await wait_until(lambda: all(reader.connections > 1 for reader in readers), beside=following)
    gate.touch()
    await following
    for reader in readers:
        assert_reader_received_all(reader, await cluster.log_of(reader.run_id))
    assert set(await assert_runs_completed(cluster, client, runs, None, most_repeated=0)) == {1}


async def test_a_web_process_with_200_streams_drains_and_its_clients_reconnect(
    cluster: Cluster, client: Client
) -> None:
    gate = cluster.gate()
    [(thread_id, run_id)] = await start_runs(cluster, client, 1, until=str(gate), pause_s=0.2)
    leaving, other = cluster.webs
    readers = [Reader(run_id) for _ in range(200)]
    following = asyncio.gather(*(reader.follow([leaving.url, other.url], thread_id) for reader in readers))
    await wait_until(lambda: all(reader.ids for reader in readers), beside=following)
    signalled_at = time.monotonic()
    leaving.signal(signal.SIGTERM)
    await leaving.wait_for_exit(25)
    print(f"a web process with 200 streams exited after {time.monotonic() - signalled_at:.2f} s")
    received = [len(reader.ids) for reader in readers]

    await wait_until(lambda: have_received_more(readers, received), 60, beside=following)
    gate.touch()
    await following
    log = await cluster.log_of(run_id)
    for reader in readers:
        assert reader.reconnect_events == 1
        assert_reader_received_all(reader, log)


@pytest.mark.filterwarnings("ignore:Request failed, attempting reconnect:UserWarning")
@pytest.mark.parametrize("signal_number", [signal.SIGTERM, signal.SIGKILL])
async def test_the_sdk_receives_the_result_after_a_restart_of_the_web_process(
    signal_number: signal.Signals, cluster: Cluster
) -> None:
    web, earlier_runs = cluster.webs[0], set(cluster.effects.by_run())
    async with get_client(url=web.url, api_key=None) as sdk:
        thread = await sdk.threads.create()
        gate = cluster.gate()
        graph_input: dict[str, Any] = {"until": str(gate), "pause_s": 0.2}
        waiting = asyncio.create_task(sdk.runs.wait(thread["thread_id"], "steps", input=graph_input))
        await wait_until(lambda: cluster.effects.by_run().keys() - earlier_runs, beside=waiting)
        web.signal(signal_number)
        await web.wait_for_exit(25)
        web.start()
        await web.wait_until_ready()
        gate.touch()
        result = await waiting
    assert isinstance(result, dict)
    assert result["trail"] == list(range(1, result["count"] + 1))


async def wait_for_next_events(cluster: Cluster, runs: StartedRuns) -> None:
    """Waits until the log of each run is longer than now."""
    lengths = [len(await cluster.log_of(run_id)) for _, run_id in runs]

    async def are_longer() -> bool:
        return all([len(await cluster.log_of(run_id)) > n for (_, run_id), n in zip(runs, lengths, strict=True)])

    await wait_until(are_longer)


async def test_runs_continue_in_the_same_attempt_after_valkey_was_killed(cluster: Cluster, client: Client) -> None:
    runs = await start_runs(cluster, client, 6, upto=12, pause_s=0.2)
    for _ in range(2):
        await cluster.valkey.kill()
        await cluster.start_valkey()
        await wait_for_next_events(cluster, runs)
    assert set(await assert_runs_completed(cluster, client, runs, 12, most_repeated=2)) == {1}


async def test_runs_continue_in_the_same_attempt_after_valkey_was_suspended_longer_than_a_lease(
    cluster: Cluster, client: Client
) -> None:
    runs = await start_runs(cluster, client, 6, upto=12, pause_s=0.2)
    cluster.valkey.suspend()
    await asyncio.sleep(1.5 * LEASE_S)  # nothing can report the end of a lease while Valkey is suspended
    cluster.valkey.resume()
    assert set(await assert_runs_completed(cluster, client, runs, 12, most_repeated=0)) == {1}


def have_received_more(readers: list[Reader], counts: list[int]) -> bool:
    """Whether each reader has received more events than its count, or the end of its run."""
    return all(reader.ended or len(reader.ids) > count for reader, count in zip(readers, counts, strict=True))


@pytest.mark.parametrize("fault", ["cut", "slow", "lossy"])
async def test_runs_complete_on_a_network_that_is(fault: str) -> None:
    async with running() as cluster, tcp_proxied(cluster.redis_url) as proxy:
        worker, web = cluster.add_worker(redis_url=proxy.url), cluster.add_web(redis_url=proxy.url)
        await cluster.restart(worker)
        web.start()
        await web.wait_until_ready()
        client = Client(web.url)
        runs = await start_runs(cluster, client, 4, upto=15, pause_s=0.15)
        readers, following = follow_runs(client, runs)
        for _ in range(5 if fault == "cut" else 1):
            await wait_until(lambda: all(reader.ids for reader in readers), beside=following)
            proxy.delay_s = 0.1 if fault == "slow" else 0
            if fault != "slow":
                proxy.cut() if fault == "cut" else proxy.drop_data()
            counts = [len(reader.ids) for reader in readers]
            await wait_until(partial(have_received_more, readers, counts), 60, beside=following)
        await following
        for reader in readers:
            assert_reader_received_all(reader, await cluster.log_of(reader.run_id))
        counted_attempts = await assert_runs_completed(cluster, client, runs, 15)
        assert (
            set(counted_attempts) == {1} or fault == "lossy"
        )  # the lease may expire before the worker closes a silent connection
        assert max(counted_attempts) <= 2
        await client.close()


@pytest.mark.timeout(300)
async def test_a_short_soak_finds_no_problem() -> None:
    from tests.crash.soak import soak

    report = await soak(60, 12, int(time.time()))
    print(report.table())
    assert not report.problems, report.table()
