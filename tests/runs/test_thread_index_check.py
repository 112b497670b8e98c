"""The indexes of threads are built for records of the release before, and repaired while the system runs."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any, Final

import pytest

from slipway import failpoints
from slipway.health.layout_upgrades import UPGRADES, build_indexes
from slipway.indexes.terms import metadata_terms
from slipway.processes.child_commands import slipway
from slipway.progress import show_nothing
from slipway.redis.keys import Keys
from slipway.redis.layout import LAYOUT, LayoutRecord
from slipway.redis.pipeline import Pipeline
from slipway.runs.record import Phase
from slipway.threads.index_check import ThreadIndexCheck
from slipway.threads.record import STATUSES
from slipway.threads.scripts import ThreadShardScripts
from slipway.threads.search import ThreadQuery
from tests.environment import bare_environment
from tests.runs.conftest import Stores, new_run
from tests.runs.test_thread_searches import problems
from tests.shards import shards_of

pytestmark = pytest.mark.one_queue

OWNERS: Final = ("ann", "bo", "cy")
ORDERS: Final = ("threads_created", "threads_state", "threads_ids")


async def store_threads(stores: Stores, number: int = 9) -> list[str]:
    """Threads of three owners; every third one has had a run."""
    created = []
    for i in range(number):
        thread_id = (await stores.threads.create_or_get(stores.new_thread_id(), {"owner": OWNERS[i % 3], "n": i}))[
            0
        ].thread_id
        created.append(thread_id)
        if i % 3 == 0:
            await stores.create(new_run(thread_id))
            await stores.settle(await stores.claim_one(), Phase.COMPLETED, values='{"topic": "ships"}')
    return created


async def forget_indexes(stores: Stores) -> None:
    """Makes the data those of the release before, which had no indexes."""
    pipeline, keys = stores.pipeline, stores.shards.home
    for key in await pipeline.send("KEYS", f"{keys.threads}:with:*"):
        await pipeline.send("DEL", key)
    await pipeline.send("DEL", *(getattr(keys, order) for order in ORDERS))
    for thread_id in await pipeline.send("ZRANGE", keys.threads, 0, -1):
        await pipeline.send("HDEL", keys.thread(thread_id.decode()), "terms", "value_terms")


async def found(stores: Stores, **query: Any) -> int:
    return (await stores.threads.count(ThreadQuery(**query))).number


@pytest.mark.one_shard("an earlier release has one shard")
async def test_the_upgrade_indexes_the_threads_of_the_release_before(stores: Stores) -> None:
    await store_threads(stores)
    await forget_indexes(stores)
    await stores.pipeline.send("HSET", stores.shards.layout.layout, "required", 1, "version", 1, "release", "before")
    assert await found(stores, metadata={"owner": "ann"}) == 0
    shown: list[tuple[str, int, int]] = []
    await LayoutRecord(stores.pipeline, shards_of(stores.keys)).check_or_upgrade(
        UPGRADES, lambda *args: shown.append(args)
    )
    assert await found(stores, metadata={"owner": "ann"}) == 3
    assert await found(stores, values={"topic": "ships"}) == 3
    assert await problems(stores) == []
    assert ("indexes of threads", 9, 9) in shown
    assert {work for work, done, total in shown if done == total} == {work for work, _, _ in shown}


@pytest.mark.one_shard("an earlier release has one shard")
async def test_a_repeated_upgrade_checks_what_changed_since_the_first_one_began(stores: Stores) -> None:
    """A process of the release before changes a thread between an upgrade that is killed and its repetition."""
    await store_threads(stores, 600)
    await forget_indexes(stores)
    pages = ThreadIndexCheck(stores.pipeline, stores.shards, repair=True).check_all()
    await anext(pages)
    await anext(pages)
    await pages.aclose()
    seconds, microseconds = await stores.pipeline.send("TIME")
    now_us = f"{int(seconds)}{int(microseconds):06}"
    for thread_id in await stores.pipeline.send("ZRANGE", stores.shards.home.threads, 0, -1):
        changes = ("m:owner", '"dora"', "updated_us", now_us)
        await stores.pipeline.send("HSET", stores.keys.thread(thread_id.decode()), *changes)
        await stores.pipeline.send("ZADD", stores.shards.home.threads, now_us, thread_id)
    await build_indexes(stores.pipeline, shards_of(stores.keys), show_nothing)
    assert await found(stores, metadata={"owner": "dora"}) == 600
    assert await problems(stores) == []


async def test_every_layout_can_be_upgraded() -> None:
    assert sorted(UPGRADES) == list(range(1, LAYOUT))


async def test_a_thread_of_the_release_before_is_found_from_its_next_run_on(stores: Stores) -> None:
    (thread_id,) = await store_threads(stores, 1)
    await forget_indexes(stores)
    await stores.create(new_run(thread_id))
    assert await found(stores, metadata={"owner": "ann"}) == 1
    assert await found(stores, metadata={"owner": "bo"}) == 0


CORRUPTIONS: Final = {
    "missing": ("ZREM", "term", "id"),
    "score": ("ZADD", "term", "1", "id"),
    "status": ("ZADD", "busy", "1", "id"),
    "order": ("ZREM", "threads_created", "id"),
    "updates": ("ZREM", "threads", "id"),
    "other_term": ("ZADD", "other", "1", "id"),
    "unknown_thread": ("ZADD", "threads", "1", "unknown"),
    "unknown_member": ("ZADD", "term", "1", "unknown"),
}


@pytest.mark.parametrize("corruption", CORRUPTIONS)
async def test_the_check_finds_and_repairs_what_is_wrong(stores: Stores, corruption: str) -> None:
    thread_id, *_ = await store_threads(stores, 3)
    keys = stores.shards.home
    names = {
        "id": thread_id,
        "term": keys.threads_with(metadata_terms({"owner": '"ann"'})),
        "other": keys.threads_with(metadata_terms({"owner": '"bo"'})),
        "unknown": stores.new_thread_id(),
    }
    names |= {status: keys.threads_with(status) for status in STATUSES}
    names |= {order: getattr(keys, order) for order in ("threads", *ORDERS)}
    await stores.pipeline.send(*(names.get(word, word) for word in CORRUPTIONS[corruption]))
    assert await problems(stores) != []
    await problems(stores, repair=True)
    assert await problems(stores) == []
    assert await found(stores, metadata={"owner": "ann"}) == 1


async def test_a_thread_that_changes_during_the_check_is_not_indexed_by_its_old_terms(stores: Stores) -> None:
    thread = (await stores.threads.create_or_get(stores.new_thread_id(), {"owner": "ann"}))[0]
    read_us = str(await stores.pipeline.send("HGET", stores.keys.thread(thread.thread_id), "updated_us"), "ascii")
    await stores.threads.patch(thread.thread_id, {"owner": "bo"})
    old = (thread.thread_id, read_us, metadata_terms({"owner": '"ann"'}), "")
    result = await ThreadShardScripts(stores.pipeline, stores.shards.home).check_indexes([old], repair=True)
    assert (result.wrong, result.changed) == ([], [thread.thread_id])
    assert (await found(stores, metadata={"owner": "bo"}), await problems(stores)) == (1, [])


@pytest.mark.processes
@pytest.mark.one_shard("the command that it kills has one shard")
async def test_a_repair_that_was_killed_continues(
    stores: Stores, valkey_url: str, keys: Keys, pipeline: Pipeline, tmp_path: Path
) -> None:
    (tmp_path / "langgraph.json").write_text(json.dumps({"graphs": {"a": "./a.py:graph"}}))
    await LayoutRecord(pipeline, shards_of(keys)).check_or_upgrade(UPGRADES)
    await store_threads(stores, 600)
    await forget_indexes(stores)

    def repair(**env: str) -> subprocess.CompletedProcess[str]:
        variables = bare_environment() | {"SLIPWAY_REDIS_URL": valkey_url, "SLIPWAY_KEY_PREFIX": keys.prefix} | env
        command = slipway("doctor", "--repair")
        return subprocess.run(
            command, cwd=tmp_path, env=variables, capture_output=True, text=True, timeout=30, check=False
        )

    killed = repair(**{failpoints.VARIABLE: "index_page_checked:2"})
    assert killed.returncode == -9
    position = await pipeline.send("GET", keys.check_position("thread"))
    assert position not in (None, b"0")
    await forget_indexes(stores)
    continued = repair()
    repaired = continued.stdout.count("thread_indexed_wrongly")
    assert 0 < repaired < 600, "the second repair does not begin again"
    assert "indexes of threads: " in continued.stderr
    await problems(stores, repair=True)
    assert await problems(stores) == []
