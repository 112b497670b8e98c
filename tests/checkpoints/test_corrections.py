"""Faults of the package `langgraph-checkpoint-redis` that Slipway's checkpointer corrects. Each check runs on both: the
package fails it, the corrected checkpointer passes."""

from __future__ import annotations

import contextlib
import datetime as dt
import pathlib
import uuid
from collections.abc import Awaitable, Callable
from decimal import Decimal
from typing import Any

import pytest
from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.checkpoint.redis.aio import AsyncRedisSaver

from slipway.checkpoints.langgraph_redis.checkpointer import LangGraphRedisCheckpointer
from slipway.checkpoints.sync_methods import SyncMethods
from slipway.redis.document_keys import DocumentNames, checkpoint_at, registry
from slipway.redis.keys import Keys
from tests.checkpoints.conftest import config_of, documents_prefix, listed_ids, put
from tests.checkpoints.sample_graphs import run_journal
from tests.shards import beside, run_on

PACKAGE = "langgraph.checkpoint.redis"

Saver = BaseCheckpointSaver[str]
Check = Callable[[Saver], Awaitable[None]]


async def lists_the_root_namespace_alone(saver: Saver) -> None:
    root = await put(saver, "t")
    await put(saver, "t", ns="sub:1")
    assert await listed_ids(saver, config_of("t", ns="")) == [root]


async def lists_checkpoints_before_one(saver: Saver) -> None:
    created_ids = [await put(saver, "t") for _ in range(3)]
    assert await listed_ids(saver, config_of("t"), before=config_of("t", created_ids[1])) == [created_ids[0]]


async def filters_by_any_metadata(saver: Saver) -> None:
    expected = await put(saver, "t", customer="a")
    await put(saver, "t", customer="b")
    try:
        loaded = await listed_ids(saver, config_of("t"), filter={"customer": "a"})
    except ValueError as error:
        raise AssertionError(str(error)) from error
    assert loaded == [expected]


async def names_are_case_sensitive(saver: Saver) -> None:
    checkpoint_id = await put(saver, "t", ns="node:1")
    await put(saver, "t", ns="Node:1")
    await put(saver, "T", ns="node:1")
    assert await listed_ids(saver, config_of("t", ns="node:1")) == [checkpoint_id]


async def lists_a_checkpoint_with_any_step(saver: Saver) -> None:
    checkpoint_id = await put(saver, "t", step="first")
    assert await listed_ids(saver, config_of("t")) == [checkpoint_id]


async def keeps_types_of_metadata(saver: Saver) -> None:
    await put(saver, "t", cost=Decimal("1.5"), path=(1, 2))
    loaded = await saver.aget_tuple(config_of("t"))
    assert loaded
    metadata: Any = loaded.metadata
    assert (metadata["cost"], metadata["path"]) == (Decimal("1.5"), (1, 2))


async def keeps_versions_that_are_numbers(saver: Saver) -> None:
    await put(saver, "t", {"a": 1}, versions={"a": 3})
    loaded = await saver.aget_tuple(config_of("t"))
    assert loaded
    assert loaded.checkpoint["channel_versions"] == {"a": 3}


async def keeps_a_decimal(saver: Saver) -> None:
    await _keeps(saver, Decimal("12.50"))


async def keeps_a_timedelta(saver: Saver) -> None:
    await _keeps(saver, dt.timedelta(hours=2))


async def keeps_a_frozenset(saver: Saver) -> None:
    await _keeps(saver, frozenset({1, 2}))


async def keeps_a_path(saver: Saver) -> None:
    await _keeps(saver, pathlib.PurePosixPath("/a/b"))


async def keeps_a_tuple(saver: Saver) -> None:
    await _keeps(saver, (1, (2, 3)))


async def keeps_a_time(saver: Saver) -> None:
    await _keeps(saver, dt.datetime(2026, 1, 1, tzinfo=dt.UTC))


async def keeps_a_dict_that_looks_like_a_constructor(saver: Saver) -> None:
    constructor = {"lc": 1, "type": "constructor", "id": ["langchain", "schema", "messages", "HumanMessage"]}
    await _keeps(saver, [{**constructor, "kwargs": {"content": "I was never a message"}}])


async def keeps_a_dict_that_looks_like_a_set(saver: Saver) -> None:
    await _keeps(saver, {"lc": 2, "type": "constructor", "id": ["builtins", "set"], "args": [[1]]})


async def keeps_dicts_that_look_like_special_values(saver: Saver) -> None:
    await _keeps(saver, [{"__send__": True, "node": "pay", "arg": 1}, {"__bytes__": "AAAA"}])


async def _keeps(saver: Saver, value: Any) -> None:
    """Stores the value in a channel and as a pending write, and loads both."""
    checkpoint_id = await put(saver, "t", {"a": value})
    await saver.aput_writes(config_of("t", checkpoint_id), [("a", value)], "task")
    loaded = await saver.aget_tuple(config_of("t"))
    assert loaded
    stored = [loaded.checkpoint["channel_values"]["a"], *(write[2] for write in loaded.pending_writes or [])]
    assert stored == [value, value]
    assert [type(item) for item in stored] == [type(value)] * 2


async def keeps_the_first_write_of_a_position(saver: Saver) -> None:
    checkpoint_id = await put(saver, "t")
    for value in (1, 2):
        await saver.aput_writes(config_of("t", checkpoint_id), [("a", value)], "task")
    loaded = await saver.aget_tuple(config_of("t"))
    assert loaded
    assert loaded.pending_writes == [("task", "a", 1)]


async def orders_writes_as_they_are_applied(saver: Saver) -> None:
    checkpoint_id = await put(saver, "t")
    for number, path in enumerate(("c", "a", "b")):
        await saver.aput_writes(config_of("t", checkpoint_id), [("x", path)], f"task {number}", path)
    loaded = await saver.aget_tuple(config_of("t"))
    assert loaded
    assert [value for _, _, value in loaded.pending_writes or []] == ["a", "b", "c"]


async def returns_the_newest_checkpoint_in_any_order_of_writes(saver: Saver) -> None:
    for checkpoint_id in ("00000002", "00000001"):
        await put(saver, "t", checkpoint_id=checkpoint_id)
    loaded = await saver.aget_tuple(config_of("t"))
    assert loaded
    assert loaded.checkpoint["id"] == "00000002"


async def deletes_the_checkpoints_of_a_run(saver: Saver) -> None:
    kept = await put(saver, "t", run="r1")
    await put(saver, "t", run="r2", parent=kept)
    try:
        await saver.adelete_for_runs([run_on("t", "r2")])
    except NotImplementedError as error:
        raise AssertionError from error
    loaded = await saver.aget_tuple(config_of("t"))
    assert loaded
    assert loaded.checkpoint["id"] == kept


async def copies_a_thread(saver: Saver) -> None:
    checkpoint_id = await put(saver, "t")
    try:
        await saver.acopy_thread("t", beside("t"))
    except NotImplementedError as error:
        raise AssertionError from error
    assert await listed_ids(saver, config_of(beside("t"))) == [checkpoint_id]


async def prunes_without_breaking_delta_channels(saver: Saver) -> None:
    graph, config = await run_journal(saver, 2)
    before = (await graph.aget_state(config)).values
    await saver.aprune(["t"])
    assert (await graph.aget_state(config)).values == before


async def rejects_an_unknown_prune_strategy(saver: Saver) -> None:
    created_ids = [await put(saver, "t") for _ in range(2)]
    with contextlib.suppress(ValueError):
        await saver.aprune(["t"], strategy="keep_lates")
    assert await listed_ids(saver, config_of("t")) == created_ids[::-1]


async def deletes_writes_that_have_no_checkpoint(saver: Any) -> None:
    await put(saver, "t")
    missing_id = f"ffffffff-{uuid.uuid4()}"
    await saver.aput_writes(config_of("t", missing_id), [("a", 1)], "task")
    await saver.adelete_thread("t")
    assert not await saver._redis.execute_command("KEYS", f"{saver._checkpoint_prefix}*:t:*")
    assert not await saver._redis.execute_command("EXISTS", registry(checkpoint_at("t", "", missing_id)))


CHECKS: tuple[Check, ...] = (
    lists_the_root_namespace_alone,
    lists_checkpoints_before_one,
    filters_by_any_metadata,
    names_are_case_sensitive,
    lists_a_checkpoint_with_any_step,
    keeps_types_of_metadata,
    keeps_versions_that_are_numbers,
    keeps_a_decimal,
    keeps_a_timedelta,
    keeps_a_frozenset,
    keeps_a_path,
    keeps_a_tuple,
    keeps_a_time,
    keeps_a_dict_that_looks_like_a_constructor,
    keeps_a_dict_that_looks_like_a_set,
    keeps_dicts_that_look_like_special_values,
    keeps_the_first_write_of_a_position,
    orders_writes_as_they_are_applied,
    returns_the_newest_checkpoint_in_any_order_of_writes,
    deletes_the_checkpoints_of_a_run,
    copies_a_thread,
    prunes_without_breaking_delta_channels,
    rejects_an_unknown_prune_strategy,
    deletes_writes_that_have_no_checkpoint,
)


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
async def test_the_package_fails_the_check(package: AsyncRedisSaver, check: Check) -> None:
    with pytest.raises(AssertionError):
        await check(package)


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
async def test_the_corrected_checkpointer_passes_the_check(corrected: LangGraphRedisCheckpointer, check: Check) -> None:
    await check(corrected)


def test_synchronous_methods_do_not_come_from_the_package(corrected: LangGraphRedisCheckpointer) -> None:
    """The synchronous methods of the package have none of the corrections."""
    for name in ("get_tuple", "list", "put", "put_writes", "get_delta_channel_history"):
        assert getattr(type(corrected), name) is getattr(SyncMethods, name)


def test_key_names_equal_those_of_the_package(package: AsyncRedisSaver, keys: Keys) -> None:
    names = DocumentNames(documents_prefix(keys))
    for ns in ("", "sub:1|deep:2"):
        where = checkpoint_at("t", ns, "1")
        assert names.checkpoint(where) == package._make_redis_checkpoint_key("t", ns, "1")
        assert names.write(where, "task", -4) == package._make_redis_checkpoint_writes_key("t", ns, "1", "task", -4)
        assert names.pointer("t", ns) == package._make_redis_checkpoint_latest_key("t", ns)
        assert package._key_registry is not None
        assert registry(where) == package._key_registry.make_write_keys_zset_key("t", ns, "1")


INHERITED = {
    "asetup": "creates the search indexes; Slipway's calls it",
    "setup": "the same",
    "create_indexes": "called by `asetup`",
    "checkpoints_schema": "the fields of the index of checkpoints",
    "writes_schema": "the fields of the index of pending writes",
    "configure_client": "called by the constructor, which gets Slipway's client",
    "cluster_mode": "found out by `asetup`",
    "aset_client_info": "nobody calls it: the connection is Slipway's",
    "set_client_info": "the same",
    "from_conn_string": "nobody calls it",
}
"""The public names of the package that its users know and Slipway does not replace."""


def test_everything_that_the_package_offers_is_replaced_or_inherited_on_purpose() -> None:
    """A later version of the package may have new methods, which would bypass the writer of an attempt."""
    package = [cls for cls in LangGraphRedisCheckpointer.__mro__ if cls.__module__.startswith(PACKAGE)]
    public = {name for cls in package for name in vars(cls) if not name.startswith("_")}
    ours = {
        name for cls in LangGraphRedisCheckpointer.__mro__ if cls.__module__.startswith("slipway") for name in vars(cls)
    }
    assert public - (ours - {"asetup"}) == INHERITED.keys()


async def test_encoded_values_are_not_returned(corrected: LangGraphRedisCheckpointer) -> None:
    with pytest.raises(NotImplementedError, match="use aget_tuple"):
        await corrected.aget_channel_values("t", "", await put(corrected, "t", {"a": 1}))
    with pytest.raises(NotImplementedError, match="use aget_tuple"):
        corrected.get_channel_values("t")
