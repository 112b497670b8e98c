"""Threads that the package `langgraph-checkpoint-redis` wrote: they are loaded strictly, and runs continue them."""

from __future__ import annotations

import dataclasses
import datetime as dt
import enum
import time
from collections.abc import Callable
from typing import Any

import orjson
import ormsgpack
import pytest
from langchain_core.messages import AIMessage, HumanMessage
from langgraph.checkpoint.redis.aio import AsyncRedisSaver
from langgraph.checkpoint.serde._msgpack import SAFE_MSGPACK_TYPES
from langgraph.types import Command, Interrupt, Send
from pydantic import BaseModel

from slipway.checkpoints.core_checkpointer import CoreCheckpointer
from slipway.checkpoints.langgraph_redis.checkpointer import LangGraphRedisCheckpointer
from slipway.checkpoints.langgraph_redis.foreign_values import ForeignValues
from slipway.checkpoints.migration import Migration
from slipway.errors import CeilingHit, ConfigError, StoredDataError
from slipway.redis.connection import Address
from slipway.redis.keys import Keys
from slipway.redis.server_pipeline import ServerPipeline
from slipway.serialization.class_allowlist import ClassAllowlist
from slipway.serialization.data_classes import imported_module
from slipway.serialization.serde import Serde
from tests.checkpoints.conftest import config_of, documents_prefix, langgraph_redis_checkpointer, listed_ids, put
from tests.checkpoints.sample_graphs import refund_graph
from tests.shards import shards_of


async def test_values_of_the_package_are_loaded(
    package: AsyncRedisSaver, corrected: LangGraphRedisCheckpointer
) -> None:
    values: dict[str, Any] = {
        "messages": [HumanMessage("hi", id="1"), AIMessage("ho", id="2")],
        "set": {1, 2},
        "plain": {"n": [1, 2.5, None, "ä"]},
    }
    checkpoint_id = await put(package, "t", values, run="r", customer="a")
    writes: list[tuple[str, Any]] = [("a", HumanMessage("x", id="3")), ("b", b"\0raw"), ("c", {"in": b"\1"})]
    writes.append(("__interrupt__", Interrupt("?", "i")))
    await package.aput_writes(
        config_of("t", checkpoint_id), [*writes, ("d", Send("node", {"n": 1})), ("e", None)], "task"
    )
    loaded = await corrected.aget_tuple(config_of("t"))
    assert loaded is not None
    assert loaded.checkpoint["channel_values"] == values
    assert loaded.metadata.get("customer") == "a"
    assert {channel: value for _, channel, value in loaded.pending_writes or []} == {
        **dict(writes),
        "d": Send("node", {"n": 1}),
        "e": None,
    }
    assert set(loaded.checkpoint) == {
        *("v", "id", "ts", "channel_values", "channel_versions", "versions_seen", "updated_channels")
    }
    assert await listed_ids(corrected, config_of("t"), filter={"customer": "a"}) == [checkpoint_id]


async def test_a_value_with_bytes_is_loaded(package: AsyncRedisSaver, corrected: LangGraphRedisCheckpointer) -> None:
    values = {"raw": b"\0\xff", "message": HumanMessage("hi", id="1")}
    await put(package, "t", values)
    loaded = await corrected.latest("t")
    assert loaded is not None
    assert loaded.checkpoint["channel_values"] == values


async def test_constructors_that_are_not_allowed_stay_plain_data(
    package: AsyncRedisSaver, corrected: LangGraphRedisCheckpointer
) -> None:
    hostile = [
        {"lc": 2, "type": "constructor", "id": ["subprocess", "Popen"], "kwargs": {"args": ["true"]}},
        {"lc": 1, "type": "constructor", "id": ["langchain", "llms", "openai", "OpenAI"], "kwargs": {}},
        {"lc": 2, "type": "constructor", "id": ["decimal", "Decimal"], "kwargs": {}},
        {"lc": 2, "type": "constructor", "id": ["not", 1], "kwargs": {}},
        {"lc": 2, "type": "constructor", "id": ["builtins", "set"], "args": [[{}]]},
        {"__bytes__": "AAAA", "and": "more"},
        {"__send__": True, "node": "pay", "arg": 1, "and": "more"},
        {"__delta_snapshot__": True, "value": 1, "and": "more"},
    ]
    await put(package, "t", {"a": hostile})
    loaded = await corrected.latest("t")
    assert loaded is not None
    assert loaded.checkpoint["channel_values"] == {"a": hostile}


@pytest.mark.parametrize(
    ("code", "name", "payload"), [(0, "len", "abc"), (1, "max", [1, 2]), (2, "dict", {"a": 1}), (4, "len", "abc")]
)
def test_only_safe_names_of_a_safe_module_are_called(code: int, name: str, payload: Any) -> None:
    assert any(module == "builtins" for module, _ in SAFE_MSGPACK_TYPES)
    packed = ormsgpack.packb(ormsgpack.Ext(code, ormsgpack.packb(["builtins", name, payload, "method"])))
    assert ForeignValues(Serde()).load("msgpack", packed) == payload


class Checked(BaseModel):
    name: str

    def __init__(self, **fields: Any) -> None:
        executed.append("__init__")
        super().__init__(**fields)


@dataclasses.dataclass
class PostInit:
    name: str

    def __post_init__(self) -> None:
        executed.append("__post_init__")


class Shade(enum.Enum):
    DARK = "dark"


executed: list[str] = []
OBJECTS: dict[str, Any] = {"model": Checked(name="a"), "dataclass": PostInit("b"), "enum": Shade.DARK}


async def test_objects_of_the_package_are_restored_without_running_their_code(
    package: AsyncRedisSaver, saver_allowing: Callable[..., LangGraphRedisCheckpointer]
) -> None:
    checkpoint_id = await put(package, "t", OBJECTS)
    packed = {**OBJECTS, "raw": b"x", "send": Send("n", PostInit("c"))}
    await package.aput_writes(config_of("t", checkpoint_id), [("w", packed)], "task")
    executed.clear()

    declared = await saver_allowing(ClassAllowlist([Checked, PostInit, Shade])).latest("t")
    assert declared is not None
    expected = OBJECTS | {"enum": "dark"}  # the package stores the value of an enum only
    assert declared.checkpoint["channel_values"] == expected
    assert declared.pending_writes == [("task", "w", packed)]

    imported = await saver_allowing(ClassAllowlist(modules=imported_module)).latest("t")
    assert imported is not None
    assert imported.pending_writes == [("task", "w", packed)]
    values = imported.checkpoint["channel_values"]
    assert values["model"]["id"][-1] == "Checked", (
        "JSON of a user may look the same, so the class must be allowed explicitly"
    )

    listed = await saver_allowing(ClassAllowlist(allow_json=[__name__])).latest("t")
    assert listed is not None
    assert listed.checkpoint["channel_values"] == expected
    assert executed == []


@pytest.fixture
def saver_allowing(corrected: LangGraphRedisCheckpointer, keys: Keys) -> Callable[..., LangGraphRedisCheckpointer]:
    """Creates checkpointers that restore the allowed classes."""
    return lambda allowed: langgraph_redis_checkpointer(corrected.pipeline, keys, serde=Serde(allowed))


async def test_a_graph_continues_a_thread_of_the_package(
    package: AsyncRedisSaver, corrected: LangGraphRedisCheckpointer
) -> None:
    config: Any = {"configurable": {"thread_id": "t"}}
    await refund_graph(package).ainvoke({"amount": 5, "log": []}, config)
    done = await refund_graph(corrected).ainvoke(Command(resume="yes"), config)
    assert done["log"][-2:] == ["asked: yes", "paid 5"]
    assert [state.next async for state in refund_graph(corrected).aget_state_history(config)][-1] == ("__start__",)
    before_pruning = await corrected.thread_bytes("t")
    storage = await corrected.storage("t")
    assert before_pruning > 0
    await corrected.aprune(["t"])
    assert 0 < await corrected.thread_bytes("t") < before_pruning
    assert storage.checkpoints.count > (await corrected.storage("t")).checkpoints.count
    await corrected.adelete_thread("t")
    assert await corrected.thread_bytes("t") == 0


async def test_the_latest_checkpoint_is_loaded_when_the_pointer_names_a_deleted_one(
    package: AsyncRedisSaver, corrected: LangGraphRedisCheckpointer
) -> None:
    older, newer = await put(package, "t"), await put(package, "t")
    await corrected.pipeline.send("DEL", package._make_redis_checkpoint_key("t", "", newer))
    loaded = await corrected.latest("t")
    assert loaded is not None
    assert loaded.checkpoint["id"] == older


async def test_damaged_data_raises_stored_data_error(
    package: AsyncRedisSaver, corrected: LangGraphRedisCheckpointer
) -> None:
    checkpoint_id = await put(corrected, "t", {"a": 1})
    key = package._make_redis_checkpoint_key("t", "", checkpoint_id)
    for path, wrong in (
        ("$.checkpoint.channel_values.a", '"????"'),
        ("$.checkpoint.body", '"AAAA"'),
        ("$.metadata", '"slipway:"'),
        ("$.checkpoint_id", "7"),
    ):
        before = await corrected.pipeline.send("JSON.GET", key)
        await corrected.pipeline.send("JSON.SET", key, path, wrong)
        with pytest.raises(StoredDataError):
            await corrected.latest("t")
        await corrected.pipeline.send("JSON.SET", key, "$", before)


async def test_an_older_checkpoint_does_not_become_the_latest(
    corrected: LangGraphRedisCheckpointer, keys: Keys
) -> None:
    """Also when another process stores the older checkpoint."""
    await put(corrected, "t", checkpoint_id="00000002")
    await put(langgraph_redis_checkpointer(corrected.pipeline, keys), "t", checkpoint_id="00000001")
    loaded = await corrected.latest("t")
    assert loaded is not None
    assert loaded.checkpoint["id"] == "00000002"


async def test_the_bytes_of_a_thread_of_the_package_are_counted_before_a_write(
    package: AsyncRedisSaver, corrected: LangGraphRedisCheckpointer, keys: Keys
) -> None:
    """In each namespace, also if it is the first that is read and written. They are counted when the run loads its
    checkpoint, so that its writes need not wait."""
    for ns in ("", "sub:1"):
        checkpoint_id = await put(package, f"t{ns}", {"a": "x" * 5000})
        limited = langgraph_redis_checkpointer(corrected.pipeline, keys, max_thread_bytes=6000).for_run(
            corrected.writer
        )
        assert (await limited.latest(f"t{ns}", ns) is None) == bool(ns)
        with pytest.raises(CeilingHit, match="state_bytes"):
            put(limited, f"t{ns}", {"a": "x" * 1000}, ns=ns, parent=checkpoint_id).send(None)
        assert await corrected.thread_bytes(f"t{ns}") > 5000


async def test_documents_have_their_time_in_milliseconds_like_those_of_the_package(
    package: AsyncRedisSaver, corrected: LangGraphRedisCheckpointer
) -> None:
    keys = [package._make_redis_checkpoint_key("t", "", await put(saver, "t")) for saver in (package, corrected)]
    package_time, own_time = [
        orjson.loads(await corrected.pipeline.send("JSON.GET", key, "$.checkpoint_ts")) for key in keys
    ]
    assert own_time == [dt.datetime(2026, 1, 1, tzinfo=dt.UTC).timestamp() * 1000]
    assert package_time == [pytest.approx(time.time() * 1000, abs=60_000)]  # the package stores the time of the write


async def test_an_index_without_a_required_field_raises_config_error(modules_url: str, keys: Keys) -> None:
    pipeline = ServerPipeline(Address(modules_url), "test", patience_s=5)
    await pipeline.open()
    try:
        index = documents_prefix(keys)
        schema = ("ON", "JSON", "PREFIX", 1, f"{index}:", "SCHEMA", "$.thread_id", "AS", "thread_id", "TAG")
        await pipeline.send("FT.CREATE", index, *schema)
        with pytest.raises(ConfigError, match=r"lacks checkpoint_id, checkpoint_ns, run_id: remove it"):
            await langgraph_redis_checkpointer(pipeline, keys).asetup()
        for name in (index, f"{index}_write"):
            await pipeline.send("FT.DROPINDEX", name)
    finally:
        await pipeline.close()


async def test_documents_older_than_the_index_are_listed(
    package: AsyncRedisSaver, corrected: LangGraphRedisCheckpointer
) -> None:
    created_ids = [await put(package, "t", {"n": number}) for number in range(200)]
    await corrected.pipeline.send("FT.DROPINDEX", package._checkpoint_prefix)
    await corrected.asetup()
    assert await listed_ids(corrected, config_of("t")) == created_ids[::-1]
    assert await corrected.thread_ids() == ["t"]
    await corrected.adelete_for_runs([""])
    assert len(await listed_ids(corrected, config_of("t"))) == 200


async def test_a_thread_of_the_package_moves_to_core(
    package: AsyncRedisSaver, corrected: LangGraphRedisCheckpointer, keys: Keys
) -> None:
    config: Any = {"configurable": {"thread_id": "t"}}
    await refund_graph(package).ainvoke({"amount": 5, "log": []}, config)
    await put(package, "messages", {"messages": [HumanMessage("hi", id="1")], "raw": b"\0"}, customer="a")
    core = CoreCheckpointer(corrected.pipeline, shards_of(keys))
    migration = Migration(corrected.pipeline, shards_of(keys), corrected, core, delete_source=True)
    moved = [outcome async for outcome in migration.run(await corrected.thread_ids())]
    assert sorted((outcome.thread_id, outcome.problem) for outcome in moved) == [("messages", ""), ("t", "")]
    assert await corrected.thread_ids() == []
    done = await refund_graph(core).ainvoke(Command(resume="yes"), config)
    assert done["log"][-2:] == ["asked: yes", "paid 5"]
    loaded = await core.latest("messages")
    assert loaded is not None
    assert loaded.checkpoint["channel_values"] == {"messages": [HumanMessage("hi", id="1")], "raw": b"\0"}
