"""Deploys and outages: processes that are asked to stop, web processes that die, a Valkey that dies or stands still,
connections that are cut."""

from __future__ import annotations

import asyncio
import signal
import time
import uuid
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
from langgraph_sdk import get_client

from tests.conftest import wait_until
from tests.crash.checks import log_is_whole, reader_has_all
from tests.crash.clients import Client, Reader
from tests.crash.cluster import LEASE_S, Cluster, running
from tests.crash.effects import repetition
from tests.crash.sharing import SharedCluster
from tests.crash.tcp_proxy import TcpProxy

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(120)]

Begun = list[tuple[str, str]]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shared() -> AsyncIterator[SharedCluster]:
    async with SharedCluster(webs=2, workers=2, max_runs_per_worker=100, drain_s=3) as shared:
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


async def begun(cluster: Cluster, client: Client, count: int, **given: object) -> Begun:
    """So many runs of `steps`, each in its first superstep at least: (thread, run)."""
    threads = [str(uuid.uuid4()) for _ in range(count)]
    runs = await asyncio.gather(*(client.start("steps", given, thread_id) for thread_id in threads))
    await wait_until(lambda: set(runs) <= {effect.run for effect in cluster.effects.all()})
    return list(zip(threads, runs, strict=True))


def followed(client: Client, runs: Begun) -> tuple[list[Reader], asyncio.Future[list[None]]]:
    """A reader of each run, and what is done once all have read to the end, or fails with the first."""
    readers = [Reader(run_id) for _, run_id in runs]
    following = [reader.follow(client.urls, thread_id) for reader, (thread_id, _) in zip(readers, runs, strict=True)]
    return readers, asyncio.gather(*following)


async def all_whole(cluster: Cluster, client: Client, runs: Begun, upto: int | None, most_again: int = 1) -> list[int]:
    """Wait for these runs, check each in every respect, and return their spent attempts. Without `upto`, they may have
    done any number of supersteps."""
    readers, following = followed(client, runs)
    await following
    pairs = list(zip(readers, runs, strict=True))
    spent = []
    for reader, (thread_id, run_id) in pairs:
        record, thread = await cluster.run(run_id), await client.thread(thread_id)
        assert (record["phase"], thread["status"]) == ("completed", "idle")
        trail = thread["values"]["trail"]
        assert trail == list(range(1, (upto or len(trail)) + 1))
        log = await cluster.log_of(run_id)
        log_is_whole(log, int(record["attempt"]))
        reader_has_all(reader, log)
        again = repetition(cluster.effects.of(run_id))
        assert again.most <= most_again
        assert not again.forgotten
        spent.append(int(record["attempt"]) - int(record["uncounted_attempts"]))
    return spent


async def test_a_worker_that_is_stopped_releases_50_runs(cluster: Cluster, client: Client) -> None:
    runs = await begun(cluster, client, 50, upto=8, pause_s=0.4)
    first, _ = cluster.workers
    asked = time.monotonic()
    for _ in range(3):  # a platform may ask every process of a group, and more than once
        first.signal(signal.SIGTERM)
    assert await first.gone(25) == 0
    print(f"drained 50 runs in {time.monotonic() - asked:.2f} s")
    assert set(await all_whole(cluster, client, runs, 8, most_again=0)) == {1}


async def test_a_superstep_longer_than_the_drain_is_announced_when_done_again(cluster: Cluster, client: Client) -> None:
    gate = cluster.gate()
    runs = await begun(cluster, client, 2, upto=1, how="hold", until=str(gate))
    for worker in cluster.workers:
        worker.signal(signal.SIGTERM)
    for worker in cluster.workers:
        assert await worker.gone(25) == 0
    gate.touch()
    await cluster.restart(cluster.workers[0])
    assert set(await all_whole(cluster, client, runs, 1)) == {1}
    for _, run_id in runs:
        assert [name for _, name, _ in await cluster.log_of(run_id)].count("metadata") == 2


async def test_a_web_process_killed_while_clients_read(cluster: Cluster, client: Client) -> None:
    gate = cluster.gate()
    runs = await begun(cluster, client, 5, until=str(gate), pause_s=0.2)
    readers, following = followed(client, runs)
    await wait_until(lambda: all(reader.counts() for reader in readers), beside=following)
    await cluster.webs[0].kill()
    await wait_until(lambda: all(reader.connections > 1 for reader in readers), beside=following)
    gate.touch()
    await following
    for reader in readers:
        reader_has_all(reader, await cluster.log_of(reader.run_id))
    assert set(await all_whole(cluster, client, runs, None, most_again=0)) == {1}


async def test_a_web_process_with_200_streams_stops_by_itself(cluster: Cluster, client: Client) -> None:
    gate = cluster.gate()
    [(thread_id, run_id)] = await begun(cluster, client, 1, until=str(gate), pause_s=0.2)
    leaving, other = cluster.webs
    readers = [Reader(run_id) for _ in range(200)]
    following = asyncio.gather(*(reader.follow([leaving.url, other.url], thread_id) for reader in readers))
    await wait_until(lambda: all(reader.ids for reader in readers), beside=following)
    asked = time.monotonic()
    leaving.signal(signal.SIGTERM)
    await leaving.gone(25)
    print(f"a web process with 200 streams was gone after {time.monotonic() - asked:.2f} s")
    been = [len(reader.ids) for reader in readers]

    def go_on() -> bool:
        return all(len(reader.ids) > count for reader, count in zip(readers, been, strict=True))

    await wait_until(go_on, 60, beside=following)
    gate.touch()
    await following
    log = await cluster.log_of(run_id)
    for reader in readers:
        assert reader.reconnects_asked == 1
        reader_has_all(reader, log)


@pytest.mark.filterwarnings("ignore:Request failed, attempting reconnect:UserWarning")
@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
async def test_the_sdk_waits_through_a_restart(how: signal.Signals, cluster: Cluster) -> None:
    web, known = cluster.webs[0], set(cluster.effects.by_run())
    async with get_client(url=web.url, api_key=None) as sdk:
        thread = await sdk.threads.create()
        gate = cluster.gate()
        given: dict[str, Any] = {"until": str(gate), "pause_s": 0.2}
        waiting = asyncio.create_task(sdk.runs.wait(thread["thread_id"], "steps", input=given))
        await wait_until(lambda: cluster.effects.by_run().keys() - known, beside=waiting)
        web.signal(how)
        await web.gone(25)
        web.start()
        await web.ready()
        gate.touch()
        answer = await waiting
    assert isinstance(answer, dict)
    assert answer["trail"] == list(range(1, answer["count"] + 1))


async def test_valkey_killed_and_started_again(cluster: Cluster, client: Client) -> None:
    runs = await begun(cluster, client, 6, upto=12, pause_s=0.2)
    for _ in range(2):
        await cluster.valkey.kill()
        await cluster.start_valkey()
        await asyncio.sleep(0.5)
    assert set(await all_whole(cluster, client, runs, 12, most_again=2)) == {1}


async def test_valkey_stands_still_for_longer_than_a_lease(cluster: Cluster, client: Client) -> None:
    runs = await begun(cluster, client, 6, upto=12, pause_s=0.2)
    cluster.valkey.stop()
    await asyncio.sleep(1.5 * LEASE_S)
    cluster.valkey.go_on()
    assert set(await all_whole(cluster, client, runs, 12, most_again=0)) == {1}


@pytest.mark.parametrize("how", ["cut", "slow", "lossy"])
async def test_a_network_that_is(how: str) -> None:
    async with running() as cluster, TcpProxy(cluster.socket) as proxy:
        worker, web = cluster.add_worker(redis_url=proxy.url), cluster.add_web(redis_url=proxy.url)
        await cluster.restart(worker)
        web.start()
        await web.ready()
        client = Client(web.url)
        runs = await begun(cluster, client, 4, upto=15, pause_s=0.15)
        readers, following = followed(client, runs)
        for _ in range(5 if how == "cut" else 1):
            await wait_until(lambda: all(reader.ids for reader in readers), beside=following)
            proxy.delay_s = 0.1 if how == "slow" else 0
            if how != "slow":
                proxy.cut() if how == "cut" else proxy.lose()
            await asyncio.sleep(0.3)
        await following
        for reader in readers:
            reader_has_all(reader, await cluster.log_of(reader.run_id))
        spent = await all_whole(cluster, client, runs, 15)
        assert set(spent) == {1} or how == "lossy"  # a lease may end before a silent connection is given up
        assert max(spent) <= 2
        await client.close()


@pytest.mark.timeout(300)
async def test_a_short_soak() -> None:
    from tests.crash.soak import soak

    report = await soak(60, 12, int(time.time()))
    print(report.table())
    assert not report.problems, report.table()
