"""The doctor, and other reads of all records, in a deployment with several shards."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator
from typing import Final

import pytest

from slipway.assistants.record import AssistantChanges
from slipway.assistants.store import AssistantStore
from slipway.deploy_checks.reads import DeployCheckReads
from slipway.graph_versions.needs_reads import NeedsReads
from slipway.health.doctor import Doctor
from slipway.health.reads import HealthReads
from slipway.health.scripts import HealthScripts
from slipway.indexes.search import Count
from slipway.redis import key_scan
from slipway.redis.key_scan import KeyScan
from slipway.redis.keys import Keys
from slipway.redis.pipeline import Pipeline
from slipway.redis.shards import Shards
from slipway.runs.record import Phase, new_id
from slipway.runs.search import RunQuery, RunSearch
from slipway.runs.unfinished_runs import UnfinishedRuns
from slipway.threads.search import ThreadQuery, ThreadSearch
from tests.runs.conftest import LEASE_MS, Stores, opened

SHARDS: Final = 8
RUNS: Final = 24


@pytest.fixture(params=["server", "cluster"])
async def sharded(request: pytest.FixtureRequest) -> AsyncIterator[Stores]:
    """Stores of a deployment with several shards, with some unfinished runs: on one server, and on a cluster."""
    on_cluster = request.param == "cluster"
    url = request.getfixturevalue("redis_cluster").url if on_cluster else request.getfixturevalue("valkey_url")
    async with opened(url, Shards(f"test-{new_id()}", SHARDS).records) as stores:
        for _ in range(RUNS):
            await stores.create_run()
        yield stores


def doctor(stores: Stores, *, repair: bool = True) -> Doctor:
    return Doctor(stores.pipeline, stores.shards, lease_ms=LEASE_MS, repair=repair)


async def remove_sets(stores: Stores, shards: list[Keys], pattern: str) -> None:
    for keys in shards:
        for name in await stores.pipeline.send("KEYS", f"{keys.prefix}:{pattern}", repeatable=True):
            await stores.pipeline.send("DEL", name)


async def test_consistent_records_have_no_problems(sharded: Stores) -> None:
    await sharded.settle((await sharded.claim(limit=1))[0], Phase.COMPLETED)
    assert await doctor(sharded, repair=False).check_all() == []
    assert await doctor(sharded, repair=False).check_thread_indexes() == []


async def test_the_problems_of_every_shard_are_found_and_repaired_once(sharded: Stores) -> None:
    """Jobs, indexes of runs and of threads, and the index of a kind of records that has one shard."""
    assistants = AssistantStore(sharded.pipeline, sharded.shards.assistants)
    changes = AssistantChanges(graph_id="steps", name="one")
    await assistants.create(new_id(), changes, token=new_id(), exist_ok=False)
    every = list(sharded.shards.threads)
    for pattern in ("runs:with:*", "queue*", "threads:with:*"):
        await remove_sets(sharded, every, pattern)
    await remove_sets(sharded, [sharded.shards.assistants], "assistants:by:*")
    repaired = [*await doctor(sharded).check_thread_indexes(), *await doctor(sharded).check_all()]
    counts = Counter(problem.name for problem in repaired)
    assert counts["run_not_indexed"] == counts["queued_without_job"] == counts["thread_indexed_wrongly"] == RUNS
    assert counts["assistant_not_indexed"] == 1
    assert len({problem.record_id for problem in repaired if problem.name == "run_not_indexed"}) == RUNS
    assert await doctor(sharded, repair=False).check_all() == []
    workload = await HealthScripts(sharded.pipeline, sharded.shards).workload(LEASE_MS)
    assert workload.repairs["queued_without_job"] == workload.repairs["run_not_indexed"] == RUNS


@pytest.mark.parametrize("page", [8, 1000])
async def test_a_scan_finds_every_key_once_with_its_shard(
    sharded: Stores, page: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(key_scan, "SCAN_COUNT", page)
    await sharded.pipeline.send("HSET", f"{sharded.shards.prefix}-other{{1}}:run:x", "a", "b")
    found: dict[str, Keys] = {}
    async for scanned in KeyScan(sharded.pipeline, sharded.shards).all("run", "hash"):
        for shard in scanned.found:
            found |= dict.fromkeys(shard.ids, shard.keys)
    runs = [run async for run in UnfinishedRuns(sharded.pipeline, sharded.shards).list_all()]
    assert found == {run.run_id: sharded.shards.of_run(run.run_id) for run in runs}
    assert len(found) == RUNS


async def test_figures_are_those_of_all_shards(sharded: Stores) -> None:
    pipeline: Pipeline = sharded.pipeline
    reads, scripts = HealthReads(pipeline, sharded.shards), HealthScripts(pipeline, sharded.shards)
    assert await reads.has_threads()
    assert await reads.number_of_threads() == RUNS
    assert (await scripts.workload(LEASE_MS)).due == RUNS
    assert (await scripts.waiting_for_people(["steps"])).undecided == {"steps": 0}
    assert len(await sharded.claim(limit=3)) == 3
    work = await scripts.workload(LEASE_MS)
    assert (work.due, work.leases) == (RUNS - 3, 3)
    checks = DeployCheckReads(pipeline, sharded.shards)
    assert await checks.number_of_threads() == RUNS
    threads = [each async for page in checks.pages() for each in page]
    assert len({each.thread_id for each in threads if each is not None}) == RUNS
    assert not await HealthReads(pipeline, Shards(new_id(), SHARDS)).has_threads()


async def test_pages_of_a_search_are_in_order_and_complete(sharded: Stores) -> None:
    search, found = RunSearch(sharded.pipeline, sharded.shards, max_checks=20_000), []
    page = await search.page(RunQuery(), limit=5)
    while True:
        found += page.runs
        if page.next is None:
            break
        page = await search.page(RunQuery(), limit=5, after=page.next)
    assert [run.incarnation for run in found] == sorted((run.incarnation for run in found), key=int, reverse=True)
    assert len({run.run_id for run in found}) == len(found) == RUNS
    threads = ThreadSearch(sharded.pipeline, sharded.shards, max_checks=20_000)
    listed = await threads.page(ThreadQuery(), limit=RUNS, offset=3, sort_by="created_at", descending=False)
    assert len(listed.records) == RUNS - 3
    assert [each.created_at for each in listed.records] == sorted(each.created_at for each in listed.records)
    assert await threads.count(ThreadQuery()) == Count(RUNS)


async def test_what_needs_a_version_is_counted_in_all_shards(sharded: Stores) -> None:
    runs = [run async for run in UnfinishedRuns(sharded.pipeline, sharded.shards).list_all()]
    for run in runs:
        await sharded.pipeline.send("HSET", sharded.keys.run(run.run_id), "version", "7")
    needs = await NeedsReads(sharded.pipeline, sharded.shards).needs(runs[0].graph_id, "7", pinned=False)
    assert (needs.queued, needs.total) == (RUNS, RUNS)
