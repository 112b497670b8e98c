"""What `langgraph-checkpoint-redis` alone gets wrong, and the checkpointer made of it gets right: each is one check,
told to both."""

from __future__ import annotations

import contextlib
import datetime as dt
import pathlib
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from decimal import Decimal
from typing import Any

import pytest
from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.checkpoint.redis.aio import AsyncRedisSaver
from redis.asyncio import Redis

from slipway.checkpoints.langgraph_redis.checkpointer import LangGraphRedisCheckpointer
from slipway.checkpoints.sync_methods import SyncMethods
from slipway.redis.connection import Address
from slipway.redis.document_keys import DocumentNames, checkpoint_at, registry
from slipway.redis.keys import Keys
from slipway.redis.pipeline import Pipeline
from tests.checkpoints.conftest import at, documents, documents_prefix, ids, put
from tests.checkpoints.test_graphs import _journal

Saver = BaseCheckpointSaver[str]
Check = Callable[[Saver], Awaitable[None]]


@pytest.fixture
async def bare(modules_url: str, keys: Keys) -> AsyncIterator[AsyncRedisSaver]:
    """The package alone, on the same keys."""
    async with Redis.from_url(modules_url) as client:
        prefix = documents_prefix(keys)
        saver = AsyncRedisSaver(
            redis_client=client, checkpoint_prefix=prefix, checkpoint_write_prefix=f"{prefix}_write"
        )
        await saver.asetup()
        try:
            yield saver
        finally:
            await client.execute_command("FT.DROPINDEX", prefix)
            await client.execute_command("FT.DROPINDEX", f"{prefix}_write")


@pytest.fixture
async def ours(modules_url: str, bare: AsyncRedisSaver, keys: Keys) -> AsyncIterator[LangGraphRedisCheckpointer]:
    """The package corrected."""
    pipeline = Pipeline(Address(modules_url), "test", patience_s=5)
    await pipeline.open()
    try:
        yield documents(pipeline, keys)
    finally:
        await pipeline.close()


async def lists_the_root_namespace_alone(saver: Saver) -> None:
    root = await put(saver, "t")
    await put(saver, "t", ns="sub:1")
    assert await ids(saver, at("t", ns="")) == [root]


async def lists_what_was_before(saver: Saver) -> None:
    made = [await put(saver, "t") for _ in range(3)]
    assert await ids(saver, at("t"), before=at("t", made[1])) == [made[0]]


async def filters_by_any_metadata(saver: Saver) -> None:
    wanted = await put(saver, "t", customer="a")
    await put(saver, "t", customer="b")
    try:
        found = await ids(saver, at("t"), filter={"customer": "a"})
    except ValueError as error:
        raise AssertionError(str(error)) from error
    assert found == [wanted]


async def tells_upper_from_lower_case(saver: Saver) -> None:
    ident = await put(saver, "t", ns="node:1")
    await put(saver, "t", ns="Node:1")
    await put(saver, "T", ns="node:1")
    assert await ids(saver, at("t", ns="node:1")) == [ident]


async def lists_a_checkpoint_whatever_its_step(saver: Saver) -> None:
    ident = await put(saver, "t", step="first")
    assert await ids(saver, at("t")) == [ident]


async def keeps_metadata_as_it_was(saver: Saver) -> None:
    await put(saver, "t", cost=Decimal("1.5"), path=(1, 2))
    found = await saver.aget_tuple(at("t"))
    assert found
    metadata: Any = found.metadata
    assert (metadata["cost"], metadata["path"]) == (Decimal("1.5"), (1, 2))


async def keeps_versions_that_are_numbers(saver: Saver) -> None:
    await put(saver, "t", {"a": 1}, versions={"a": 3})
    found = await saver.aget_tuple(at("t"))
    assert found
    assert found.checkpoint["channel_versions"] == {"a": 3}


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


async def leaves_a_users_constructor_alone(saver: Saver) -> None:
    shape = {"lc": 1, "type": "constructor", "id": ["langchain", "schema", "messages", "HumanMessage"]}
    await _keeps(saver, [{**shape, "kwargs": {"content": "I was never a message"}}])


async def leaves_a_users_set_alone(saver: Saver) -> None:
    await _keeps(saver, {"lc": 2, "type": "constructor", "id": ["builtins", "set"], "args": [[1]]})


async def leaves_a_users_marks_alone(saver: Saver) -> None:
    await _keeps(saver, [{"__send__": True, "node": "pay", "arg": 1}, {"__bytes__": "AAAA"}])


async def _keeps(saver: Saver, value: Any) -> None:
    """As a channel's value and as a pending write."""
    ident = await put(saver, "t", {"a": value})
    await saver.aput_writes(at("t", ident), [("a", value)], "task")
    found = await saver.aget_tuple(at("t"))
    assert found
    stored = [found.checkpoint["channel_values"]["a"], *(write[2] for write in found.pending_writes or [])]
    assert stored == [value, value]
    assert [type(each) for each in stored] == [type(value)] * 2


async def keeps_the_first_write_of_a_position(saver: Saver) -> None:
    ident = await put(saver, "t")
    for value in (1, 2):
        await saver.aput_writes(at("t", ident), [("a", value)], "task")
    found = await saver.aget_tuple(at("t"))
    assert found
    assert found.pending_writes == [("task", "a", 1)]


async def orders_writes_as_they_are_applied(saver: Saver) -> None:
    ident = await put(saver, "t")
    for number, path in enumerate(("c", "a", "b")):
        await saver.aput_writes(at("t", ident), [("x", path)], f"task {number}", path)
    found = await saver.aget_tuple(at("t"))
    assert found
    assert [value for _, _, value in found.pending_writes or []] == ["a", "b", "c"]


async def knows_the_newest_whatever_came_last(saver: Saver) -> None:
    for ident in ("00000002", "00000001"):
        await put(saver, "t", ident=ident)
    found = await saver.aget_tuple(at("t"))
    assert found
    assert found.checkpoint["id"] == "00000002"


async def removes_the_checkpoints_of_a_run(saver: Saver) -> None:
    kept = await put(saver, "t", run_id="r1")
    await put(saver, "t", run_id="r2", parent=kept)
    try:
        await saver.adelete_for_runs(["r2"])
    except NotImplementedError as error:
        raise AssertionError from error
    found = await saver.aget_tuple(at("t"))
    assert found
    assert found.checkpoint["id"] == kept


async def copies_a_thread(saver: Saver) -> None:
    ident = await put(saver, "t")
    try:
        await saver.acopy_thread("t", "u")
    except NotImplementedError as error:
        raise AssertionError from error
    assert await ids(saver, at("u")) == [ident]


async def prunes_without_breaking_delta_channels(saver: Saver) -> None:
    graph, config = await _journal(saver, 2)
    before = (await graph.aget_state(config)).values
    await saver.aprune(["t"])
    assert (await graph.aget_state(config)).values == before


async def refuses_an_unknown_way_to_prune(saver: Saver) -> None:
    made = [await put(saver, "t") for _ in range(2)]
    with contextlib.suppress(ValueError):
        await saver.aprune(["t"], strategy="keep_lates")
    assert await ids(saver, at("t")) == made[::-1]


async def deletes_writes_that_have_no_checkpoint(saver: Any) -> None:
    await put(saver, "t")
    early = f"ffffffff-{uuid.uuid4()}"
    await saver.aput_writes(at("t", early), [("a", 1)], "task")
    await saver.adelete_thread("t")
    assert not await saver._redis.execute_command("KEYS", f"{saver._checkpoint_prefix}*:t:*")
    assert not await saver._redis.execute_command("EXISTS", registry(checkpoint_at("t", "", early)))


CHECKS: tuple[Check, ...] = (
    lists_the_root_namespace_alone,
    lists_what_was_before,
    filters_by_any_metadata,
    tells_upper_from_lower_case,
    lists_a_checkpoint_whatever_its_step,
    keeps_metadata_as_it_was,
    keeps_versions_that_are_numbers,
    keeps_a_decimal,
    keeps_a_timedelta,
    keeps_a_frozenset,
    keeps_a_path,
    keeps_a_tuple,
    keeps_a_time,
    leaves_a_users_constructor_alone,
    leaves_a_users_set_alone,
    leaves_a_users_marks_alone,
    keeps_the_first_write_of_a_position,
    orders_writes_as_they_are_applied,
    knows_the_newest_whatever_came_last,
    removes_the_checkpoints_of_a_run,
    copies_a_thread,
    prunes_without_breaking_delta_channels,
    refuses_an_unknown_way_to_prune,
    deletes_writes_that_have_no_checkpoint,
)


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
async def test_the_package_fails_the_check(bare: AsyncRedisSaver, check: Check) -> None:
    with pytest.raises(AssertionError):
        await check(bare)


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
async def test_the_corrected_checkpointer_passes_the_check(ours: LangGraphRedisCheckpointer, check: Check) -> None:
    await check(ours)


def test_synchronous_methods_do_not_come_from_the_package(ours: LangGraphRedisCheckpointer) -> None:
    """Those keep to none of the corrections."""
    for name in ("get_tuple", "list", "put", "put_writes", "get_delta_channel_history"):
        assert getattr(type(ours), name) is getattr(SyncMethods, name)


def test_key_names_equal_those_of_the_package(bare: AsyncRedisSaver, keys: Keys) -> None:
    names = DocumentNames(documents_prefix(keys))
    for ns in ("", "sub:1|deep:2"):
        where = checkpoint_at("t", ns, "1")
        assert names.checkpoint(where) == bare._make_redis_checkpoint_key("t", ns, "1")
        assert names.write(where, "task", -4) == bare._make_redis_checkpoint_writes_key("t", ns, "1", "task", -4)
        assert names.pointer("t", ns) == bare._make_redis_checkpoint_latest_key("t", ns)
        assert bare._key_registry is not None
        assert registry(where) == bare._key_registry.make_write_keys_zset_key("t", ns, "1")
