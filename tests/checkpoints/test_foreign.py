"""Threads that `langgraph-checkpoint-redis` wrote itself: read as they were, strictly, and taken further."""

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
from slipway.redis.pipeline import Pipeline
from slipway.serialization.class_allowlist import ClassAllowlist
from slipway.serialization.data_classes import imported_module
from slipway.serialization.serde import Serde
from tests.checkpoints.conftest import at, documents, documents_prefix, ids, put
from tests.checkpoints.test_corrections import bare, ours
from tests.checkpoints.test_graphs import refund_graph

__all__ = ["bare", "ours"]


async def test_values_of_the_package_are_loaded(bare: AsyncRedisSaver, ours: LangGraphRedisCheckpointer) -> None:
    values: dict[str, Any] = {
        "messages": [HumanMessage("hi", id="1"), AIMessage("ho", id="2")],
        "set": {1, 2},
        "plain": {"n": [1, 2.5, None, "ä"]},
    }
    ident = await put(bare, "t", values, run_id="r", customer="a")
    writes: list[tuple[str, Any]] = [("a", HumanMessage("x", id="3")), ("b", b"\0raw"), ("c", {"in": b"\1"})]
    writes.append(("__interrupt__", Interrupt("?", "i")))
    await bare.aput_writes(at("t", ident), [*writes, ("d", Send("node", {"n": 1})), ("e", None)], "task")
    found = await ours.aget_tuple(at("t"))
    assert found is not None
    assert found.checkpoint["channel_values"] == values
    assert found.metadata.get("customer") == "a"
    assert {channel: value for _, channel, value in found.pending_writes or []} == {
        **dict(writes),
        "d": Send("node", {"n": 1}),
        "e": None,
    }
    assert set(found.checkpoint) == {
        *("v", "id", "ts", "channel_values", "channel_versions", "versions_seen", "updated_channels")
    }
    assert await ids(ours, at("t"), filter={"customer": "a"}) == [ident]


async def test_a_value_with_bytes_is_loaded(bare: AsyncRedisSaver, ours: LangGraphRedisCheckpointer) -> None:
    values = {"raw": b"\0\xff", "message": HumanMessage("hi", id="1")}
    await put(bare, "t", values)
    found = await ours.latest("t")
    assert found is not None
    assert found.checkpoint["channel_values"] == values


async def test_constructors_that_are_not_allowed_stay_plain_data(
    bare: AsyncRedisSaver, ours: LangGraphRedisCheckpointer
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
    await put(bare, "t", {"a": hostile})
    found = await ours.latest("t")
    assert found is not None
    assert found.checkpoint["channel_values"] == {"a": hostile}


@pytest.mark.parametrize(
    ("code", "name", "payload"), [(0, "len", "abc"), (1, "max", [1, 2]), (2, "dict", {"a": 1}), (4, "len", "abc")]
)
def test_only_safe_names_of_a_safe_module_are_called(code: int, name: str, payload: Any) -> None:
    assert any(module == "builtins" for module, _ in SAFE_MSGPACK_TYPES)
    packed = ormsgpack.packb(ormsgpack.Ext(code, ormsgpack.packb(["builtins", name, payload, "method"])))
    assert ForeignValues(Serde()).load("msgpack", packed) == payload


class Checked(BaseModel):
    name: str

    def __init__(self, **given: Any) -> None:
        ran.append("__init__")
        super().__init__(**given)


@dataclasses.dataclass
class Placed:
    name: str

    def __post_init__(self) -> None:
        ran.append("__post_init__")


class Shade(enum.Enum):
    DARK = "dark"


ran: list[str] = []
OBJECTS: dict[str, Any] = {"model": Checked(name="a"), "dataclass": Placed("b"), "enum": Shade.DARK}


async def test_objects_of_the_package_are_restored_without_running_their_code(
    bare: AsyncRedisSaver, reading_with: Callable[..., LangGraphRedisCheckpointer]
) -> None:
    ident = await put(bare, "t", OBJECTS)
    packed = {**OBJECTS, "raw": b"x", "send": Send("n", Placed("c"))}
    await bare.aput_writes(at("t", ident), [("w", packed)], "task")
    ran.clear()

    declared = await reading_with(ClassAllowlist([Checked, Placed, Shade])).latest("t")
    assert declared is not None
    kept = OBJECTS | {"enum": "dark"}  # the package keeps no more of an enum
    assert declared.checkpoint["channel_values"] == kept
    assert declared.pending_writes == [("task", "w", packed)]

    used = await reading_with(ClassAllowlist(modules=imported_module)).latest("t")
    assert used is not None
    assert used.pending_writes == [("task", "w", packed)]
    shapes = used.checkpoint["channel_values"]
    assert shapes["model"]["id"][-1] == "Checked", (
        "a user's JSON may look the same, so it is not enough that graphs use it"
    )

    listed = await reading_with(ClassAllowlist(allow_json=[__name__])).latest("t")
    assert listed is not None
    assert listed.checkpoint["channel_values"] == kept
    assert ran == []


@pytest.fixture
def reading_with(ours: LangGraphRedisCheckpointer, keys: Keys) -> Callable[..., LangGraphRedisCheckpointer]:
    """Checkpointers that restore what is allowed."""
    return lambda allowed: documents(ours.pipeline, keys, serde=Serde(allowed))


async def test_a_graph_continues_a_thread_of_the_package(
    bare: AsyncRedisSaver, ours: LangGraphRedisCheckpointer
) -> None:
    config: Any = {"configurable": {"thread_id": "t"}}
    await refund_graph(bare).ainvoke({"amount": 5, "log": []}, config)
    done = await refund_graph(ours).ainvoke(Command(resume="yes"), config)
    assert done["log"][-2:] == ["asked: yes", "paid 5"]
    assert [state.next async for state in refund_graph(ours).aget_state_history(config)][-1] == ("__start__",)
    kept = await ours.thread_bytes("t")
    taken = await ours.storage("t")
    assert kept > 0
    await ours.aprune(["t"])
    assert 0 < await ours.thread_bytes("t") < kept
    assert taken.checkpoints.count > (await ours.storage("t")).checkpoints.count
    await ours.adelete_thread("t")
    assert await ours.thread_bytes("t") == 0


async def test_the_latest_checkpoint_is_loaded_when_the_pointer_names_a_deleted_one(
    bare: AsyncRedisSaver, ours: LangGraphRedisCheckpointer
) -> None:
    older, newer = await put(bare, "t"), await put(bare, "t")
    await ours.pipeline.send("DEL", bare._make_redis_checkpoint_key("t", "", newer))
    found = await ours.latest("t")
    assert found is not None
    assert found.checkpoint["id"] == older


async def test_damaged_data_raises_stored_data_error(bare: AsyncRedisSaver, ours: LangGraphRedisCheckpointer) -> None:
    ident = await put(ours, "t", {"a": 1})
    key = bare._make_redis_checkpoint_key("t", "", ident)
    for path, wrong in (
        ("$.checkpoint.channel_values.a", '"????"'),
        ("$.checkpoint.body", '"AAAA"'),
        ("$.metadata", '"slipway:"'),
        ("$.checkpoint_id", "7"),
    ):
        before = await ours.pipeline.send("JSON.GET", key)
        await ours.pipeline.send("JSON.SET", key, path, wrong)
        with pytest.raises(StoredDataError):
            await ours.latest("t")
        await ours.pipeline.send("JSON.SET", key, "$", before)


async def test_an_older_checkpoint_does_not_become_the_latest(ours: LangGraphRedisCheckpointer, keys: Keys) -> None:
    """Also when another process puts it."""
    await put(ours, "t", ident="00000002")
    await put(documents(ours.pipeline, keys), "t", ident="00000001")
    found = await ours.latest("t")
    assert found is not None
    assert found.checkpoint["id"] == "00000002"


async def test_the_bytes_of_a_thread_of_the_package_are_counted_before_a_write(
    bare: AsyncRedisSaver, ours: LangGraphRedisCheckpointer, keys: Keys
) -> None:
    """Whichever namespace is read and written first."""
    for ns in ("", "sub:1"):
        ident = await put(bare, f"t{ns}", {"a": "x" * 5000})
        limited = documents(ours.pipeline, keys, max_thread_bytes=6000).for_run(ours.writer)
        assert (await limited.latest(f"t{ns}", ns) is None) == bool(ns)
        with pytest.raises(CeilingHit, match="state_bytes"):
            await put(limited, f"t{ns}", {"a": "x" * 1000}, ns=ns, parent=ident)
        assert await ours.thread_bytes(f"t{ns}") > 5000


async def test_documents_have_their_time_in_milliseconds_like_those_of_the_package(
    bare: AsyncRedisSaver, ours: LangGraphRedisCheckpointer
) -> None:
    keys = [bare._make_redis_checkpoint_key("t", "", await put(saver, "t")) for saver in (bare, ours)]
    theirs, own = [orjson.loads(await ours.pipeline.send("JSON.GET", key, "$.checkpoint_ts")) for key in keys]
    assert own == [dt.datetime(2026, 1, 1, tzinfo=dt.UTC).timestamp() * 1000]
    assert theirs == [pytest.approx(time.time() * 1000, abs=60_000)]  # the package takes the time of the write


async def test_an_index_without_a_required_field_raises_config_error(modules_url: str, keys: Keys) -> None:
    pipeline = Pipeline(Address(modules_url), "test", patience_s=5)
    await pipeline.open()
    try:
        index = documents_prefix(keys)
        made = ("ON", "JSON", "PREFIX", 1, f"{index}:", "SCHEMA", "$.thread_id", "AS", "thread_id", "TAG")
        await pipeline.send("FT.CREATE", index, *made)
        with pytest.raises(ConfigError, match=r"lacks checkpoint_id, checkpoint_ns, run_id: remove it"):
            await documents(pipeline, keys).asetup()
        for each in (index, f"{index}_write"):
            await pipeline.send("FT.DROPINDEX", each)
    finally:
        await pipeline.close()


async def test_documents_older_than_the_index_are_listed(
    bare: AsyncRedisSaver, ours: LangGraphRedisCheckpointer
) -> None:
    made = [await put(bare, "t", {"n": number}) for number in range(200)]
    await ours.pipeline.send("FT.DROPINDEX", bare._checkpoint_prefix)
    await ours.asetup()
    assert await ids(ours, at("t")) == made[::-1]
    assert await ours.thread_ids() == ["t"]
    await ours.adelete_for_runs([""])
    assert len(await ids(ours, at("t"))) == 200


async def test_a_thread_of_the_package_moves_to_core(
    bare: AsyncRedisSaver, ours: LangGraphRedisCheckpointer, keys: Keys
) -> None:
    config: Any = {"configurable": {"thread_id": "t"}}
    await refund_graph(bare).ainvoke({"amount": 5, "log": []}, config)
    await put(bare, "messages", {"messages": [HumanMessage("hi", id="1")], "raw": b"\0"}, customer="a")
    core = CoreCheckpointer(ours.pipeline, keys)
    migration = Migration(ours.pipeline, keys, ours, core, delete_source=True)
    moved = [outcome async for outcome in migration.run(await ours.thread_ids())]
    assert sorted((outcome.thread_id, outcome.problem) for outcome in moved) == [("messages", ""), ("t", "")]
    assert await ours.thread_ids() == []
    done = await refund_graph(core).ainvoke(Command(resume="yes"), config)
    assert done["log"][-2:] == ["asked: yes", "paid 5"]
    found = await core.latest("messages")
    assert found is not None
    assert found.checkpoint["channel_values"] == {"messages": [HumanMessage("hi", id="1")], "raw": b"\0"}
