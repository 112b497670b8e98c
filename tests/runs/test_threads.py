"""Copies of threads, their time to live, and state writes."""

from __future__ import annotations

import asyncio

import pytest

from slipway.runs.record import new_id
from slipway.threads import scripts
from slipway.threads.scripts import ThreadShardScripts
from slipway.threads.ttl import ThreadTtl
from tests.runs.conftest import Stores


@pytest.mark.parametrize("metadata", [None, {"owner": "bob"}, {}])
async def test_given_metadata_replaces_the_metadata_of_the_source_in_a_copy(
    stores: Stores, metadata: dict[str, str] | None
) -> None:
    source = new_id()
    await stores.threads.create_or_get(source, {"owner": "ann", "secret": "of ann"})
    copy = await stores.threads.copy(source, stores.shards.id_beside(source, new_id()), token="t", metadata=metadata)
    assert copy.metadata == ({"owner": "ann", "secret": "of ann"} if metadata is None else metadata)
    assert (await stores.threads.get(copy.thread_id)).metadata == copy.metadata


@pytest.mark.parametrize("minutes", [60, 0.1, 43_200.25, 1_234_567])
async def test_the_time_to_live_of_a_thread_is_stored_exactly(stores: Stores, minutes: float) -> None:
    ttl = ThreadTtl(minutes, "keep_latest")
    thread, _ = await stores.threads.create_or_get(new_id(), {}, ttl=ttl)
    assert thread.ttl is not None
    assert thread.ttl["ttl_minutes"] == minutes
    await ThreadShardScripts(stores.pipeline, stores.shards.of_thread(thread.thread_id)).sweep(
        0, [(thread.thread_id, thread.incarnation)]
    )
    expires_us, now = await asyncio.gather(
        stores.pipeline.send("HGET", stores.keys.thread(thread.thread_id), "expires_us"), stores.pipeline.send("TIME")
    )
    assert int(now[0]) + minutes * 60 - 30 < int(expires_us) / 1e6 < int(now[0]) + minutes * 60 + 30


@pytest.mark.one_queue
async def test_busy_threads_do_not_block_the_retention_of_later_threads(stores: Stores) -> None:
    busy, idle = [
        (await stores.threads.create_or_get(stores.new_thread_id(), {}, ttl=ThreadTtl(60)))[0].thread_id
        for _ in range(2)
    ]
    await stores.create_run(busy)
    for thread_id, due_ms in ((busy, 1), (idle, 2)):
        await stores.pipeline.send("ZADD", stores.shards.home.threads_due, "XX", due_ms, thread_id)
    rounds = [await ThreadShardScripts(stores.pipeline, stores.shards.home).sweep(1) for _ in range(2)]
    assert [(each.deleted, each.busy) for each in rounds] == [([], 1), ([idle], 0)]
    assert await stores.pipeline.send("ZRANGE", stores.shards.home.threads_due, 0, -1) == [busy.encode()]


async def test_the_latest_state_writes_are_stored_for_followers(
    stores: Stores, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scripts, "MAX_STATE_WRITES", 3)
    thread_id = await stores.create_thread()
    written = [new_id() for _ in range(5)]
    for checkpoint_id in written:
        for _ in range(2):  # a script that is repeated stores the state once
            await stores.thread_scripts.set_state(
                thread_id,
                values=b"{}",
                value_terms="",
                interrupts=b"{}",
                status="idle",
                checkpoint_id=checkpoint_id,
                event_ttl_s=60,
            )
    stored = await stores.pipeline.send("ZRANGE", stores.keys.thread_states(thread_id), 0, -1)
    assert [member.decode().partition(":")[2] for member in stored] == written[-3:]
