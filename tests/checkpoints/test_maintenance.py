"""Deleting, copying and pruning threads and runs."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest

from slipway.checkpoints.base_checkpointer import BaseCheckpointer
from slipway.checkpoints.core_checkpointer import CoreCheckpointer
from slipway.errors import Conflict
from slipway.redis.keys import Keys
from tests.checkpoints.conftest import (
    CheckpointerFactory,
    config_of,
    documents_prefix,
    langgraph_redis_checkpointer,
    listed_ids,
    put,
)
from tests.shards import beside, run_on, shards_of

Names = Callable[[], Awaitable[list[bytes]]]


async def _chain(saver: BaseCheckpointer, thread_id: str, runs: list[str], ns: str = "") -> list[str]:
    """Store one checkpoint for each run, with a pending write. The channel `kept` never changes, `n` always does."""
    created_ids: list[str] = []
    for n, run in enumerate(runs):
        versions: dict[str, str | int | float] = {"kept": "00000001", "n": f"{n + 1:08x}"}
        created_ids.append(
            await put(
                saver,
                thread_id,
                {"kept": "k" * 100, "n": n},
                versions=versions,
                new=versions if n == 0 else {"n": versions["n"]},
                ns=ns,
                parent=created_ids[-1] if created_ids else None,
                run=run,
            )
        )
        await saver.aput_writes(config_of(thread_id, created_ids[-1], ns), [("n", n + 1)], f"task{n}")
    return created_ids


async def test_a_deleted_thread_has_no_key(saver: BaseCheckpointer, stored_keys: Names) -> None:
    created_ids = await _chain(saver, "t", ["r1", "r2"])
    await saver.aput_writes(config_of("t", created_ids[-1]), [("n", 2)], "task1")  # counted again although it is stored
    await _chain(saver, "t", ["r2", "r3"], ns="sub:1")
    other = beside("t")
    await _chain(saver, other, ["r3"])
    await saver.aput_writes(config_of("t", "never-stored"), [("a", 1)], "task")
    await saver.adelete_thread("t")
    assert all(b":t:" not in name for name in await stored_keys())
    assert len(await listed_ids(saver, None)) == 1
    await saver.adelete_thread(other)
    await saver.adelete_thread(other)
    assert await stored_keys() == []


async def test_a_checkpoint_stored_after_a_deletion_is_the_latest(saver: BaseCheckpointer) -> None:
    """Also if it is older than the deleted checkpoint, as in a thread that is imported or migrated."""
    await put(saver, "t", checkpoint_id="00000002")
    await saver.adelete_thread("t")
    await put(saver, "t", checkpoint_id="00000001")
    loaded = await saver.latest("t")
    assert loaded is not None
    assert loaded.checkpoint["id"] == "00000001"


async def test_a_thread_without_runs_has_no_key(saver: BaseCheckpointer, stored_keys: Names) -> None:
    await _chain(saver, "t", ["r1", "r2"])
    await _chain(saver, "t", ["r2"], ns="sub:1")
    await saver.adelete_for_runs([run_on("t", "r2"), run_on("t", "unknown")])
    await saver.adelete_for_runs([run_on("t", "r1")])
    assert await stored_keys() == []


async def test_deleting_a_run_keeps_values_that_other_runs_use(saver: BaseCheckpointer) -> None:
    created_ids = await _chain(saver, "t", ["r1", "r2", "r2", "r3"])
    sub = await _chain(saver, "t", ["r2", "r3"], ns="sub:1")
    before = await saver.thread_bytes("t")
    await saver.adelete_for_runs([run_on("t", "r2")])
    assert await listed_ids(saver, config_of("t")) == [created_ids[3], created_ids[0]]
    assert await listed_ids(saver, config_of("t", ns="sub:1")) == [sub[1]]
    for checkpoint_id, n in ((created_ids[0], 0), (created_ids[3], 3)):
        loaded = await saver.aget_tuple(config_of("t", checkpoint_id))
        assert loaded is not None
        assert loaded.checkpoint["channel_values"] == {"kept": "k" * 100, "n": n}
        assert loaded.pending_writes == [(f"task{n}", "n", n + 1)]
    assert await saver.thread_bytes("t") < before


async def test_pruning_keeps_the_latest_checkpoint_of_each_namespace(
    make_checkpointer: CheckpointerFactory, saver: BaseCheckpointer, stored_keys: Names
) -> None:
    created_ids = await _chain(saver, "t", [f"r{n}" for n in range(20)])
    sub = await _chain(saver, "t", ["r1", "r2"], ns="sub:1")
    other = make_checkpointer()
    await other.aprune(["t", "unknown"])
    assert await listed_ids(saver, config_of("t", ns=None)) == sorted([created_ids[-1], sub[-1]], reverse=True)
    loaded = await saver.latest("t")
    assert loaded is not None
    assert loaded.checkpoint["channel_values"] == {"kept": "k" * 100, "n": 19}
    assert loaded.pending_writes == [("task19", "n", 20)]
    # core: index, state and writes of each of two namespaces, and the sets of two runs that still have a checkpoint;
    # langgraph-redis: two checkpoints with a write, a registry and a pointer each, and the byte counter
    assert len(await stored_keys()) == (6 if isinstance(saver, CoreCheckpointer) else 9)

    once = await saver.thread_bytes("t")
    await saver.aprune(["t"])
    assert await saver.thread_bytes("t") == once
    with pytest.raises(ValueError, match="keep_lates"):
        await saver.aprune(["t"], strategy="keep_lates")
    await saver.aprune(["t"], strategy="delete")
    assert await stored_keys() == []


async def test_a_pruned_thread_counts_the_remaining_bytes(
    make_checkpointer: CheckpointerFactory, saver: BaseCheckpointer
) -> None:
    await _chain(saver, "t", ["r"] * 10)
    await saver.aprune(["t"])
    pruned = await saver.thread_bytes("t")
    created_ids = await _chain(saver, "u", ["r"] * 10)
    fresh = make_checkpointer()
    values = {"kept": "k" * 100, "n": 9}
    versions: dict[str, str | int | float] = {"kept": "00000001", "n": "0000000a"}
    await put(fresh, "v", values, versions=versions, parent=created_ids[0], run="r", checkpoint_id=created_ids[9])
    await fresh.aput_writes(config_of("v", created_ids[9]), [("n", 10)], "task9")
    assert pruned == await saver.thread_bytes("v")


async def test_a_busy_thread_is_not_pruned(saver: BaseCheckpointer, keys: Keys) -> None:
    created_ids = await _chain(saver, "t", ["r1", "r2", "r3"])
    record = keys.thread("t")
    await saver.pipeline.send("HSET", record, "created_us", "1", "status", "busy")
    assert not await saver.prune_thread("t", "1")
    assert await listed_ids(saver, config_of("t")) == created_ids[::-1]
    await saver.pipeline.send("HSET", record, "status", "idle")
    assert not await saver.prune_thread("t", "2")  # the thread was created again
    assert await saver.prune_thread("t", "1")
    assert await listed_ids(saver, config_of("t")) == created_ids[-1:]


async def test_pruning_keeps_pending_writes_of_a_future_checkpoint(saver: BaseCheckpointer) -> None:
    await _chain(saver, "t", ["r", "r"])
    future_id = "ffffffff-0000-6000-8000-000000000000"
    await saver.aput_writes(config_of("t", future_id), [("n", 1)], "early")
    await saver.aprune(["t"])
    await put(saver, "t", checkpoint_id=future_id)
    loaded = await saver.latest("t")
    assert loaded is not None
    assert loaded.pending_writes == [("early", "n", 1)]


async def test_thread_ids_are_case_sensitive(saver: BaseCheckpointer) -> None:
    created_ids = await _chain(saver, "t", ["r1"])
    await _chain(saver, "T", ["r2", "r2"])
    await saver.aput_writes(config_of("T", "never-stored"), [("a", 1)], "task")
    other, used = await saver.latest("T"), await saver.thread_bytes("T")
    assert await saver.checkpoint_ids("t", "") == created_ids
    await saver.adelete_thread("t")
    assert await saver.latest("T") == other
    assert await saver.thread_bytes("T") == used
    assert await saver.stored_writes(config_of("T", other.checkpoint["id"] if other else None))


async def test_a_copied_thread_does_not_depend_on_the_original(saver: BaseCheckpointer, stored_keys: Names) -> None:
    created_ids = await _chain(saver, "t", ["r1", "r2"])
    await _chain(saver, "t", ["r1"], ns="sub:1")
    copy = beside("t")
    await saver.acopy_thread("t", copy)
    original = [loaded async for loaded in saver.alist(config_of("t", ns=None))]
    copied = [loaded async for loaded in saver.alist(config_of(copy, ns=None))]
    assert [(loaded.checkpoint, loaded.metadata, loaded.pending_writes) for loaded in copied] == [
        (loaded.checkpoint, loaded.metadata, loaded.pending_writes) for loaded in original
    ]
    assert {loaded.config["configurable"]["thread_id"] for loaded in copied} == {copy}
    assert await saver.thread_bytes(copy) == await saver.thread_bytes("t")

    with pytest.raises(Conflict, match=copy):
        await saver.acopy_thread("t", copy)
    await saver.adelete_thread("t")
    assert await listed_ids(saver, config_of(copy)) == created_ids[::-1]
    await saver.adelete_for_runs([run_on("t", "r1"), run_on("t", "r2")])
    assert await stored_keys() == []
    await saver.acopy_thread("t", beside("t"))
    assert await stored_keys() == []


async def test_deleting_a_thread_keeps_the_thread_of_another_key_prefix(
    make_checkpointer: CheckpointerFactory, saver: BaseCheckpointer, keys: Keys
) -> None:
    """Also if both have their pending writes in one registry of `langgraph-checkpoint-redis`."""
    pipeline, other_keys = saver.pipeline, Keys(f"{keys.prefix}-other")
    other: BaseCheckpointer = CoreCheckpointer(pipeline, shards_of(other_keys))
    if not isinstance(saver, CoreCheckpointer):
        other = langgraph_redis_checkpointer(pipeline, other_keys)
        await other.asetup()
    for one in (saver, other):
        await put(one, "t", {"a": 1}, checkpoint_id="1", run="r")
        await one.aput_writes(config_of("t", "1"), [("a", 2)], "task")
    before = await other.latest("t")
    assert before is not None
    await saver.adelete_for_runs([run_on("t", "r")])
    await saver.adelete_thread("t")
    assert await saver.latest("t") is None
    assert await other.latest("t") == before
    await other.adelete_thread("t")
    if not isinstance(saver, CoreCheckpointer):
        for index in ("", "_write"):
            await pipeline.send("FT.DROPINDEX", documents_prefix(other_keys) + index)
