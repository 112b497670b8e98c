"""Writes of checkpoints: their commands, round trips and bytes."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import pytest
from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.serde.types import ERROR, INTERRUPT, RESUME, SCHEDULED

from slipway.checkpoints.base_checkpointer import BaseCheckpointer
from slipway.checkpoints.core_checkpointer import CoreCheckpointer
from slipway.checkpoints.fenced_writers import UndividedWriter, UnfencedWriter
from slipway.errors import CeilingHit, Fenced, InvalidRequest, StateRefused
from slipway.redis.keys import Keys
from slipway.redis.pipeline import Pipeline
from slipway.redis.redis_commands import RedisCommand
from slipway.shown_exceptions import HIDDEN
from tests.checkpoints.conftest import CheckpointerFactory, checkpoint_of, config_of, put
from tests.incompressible import incompressible
from tests.shards import run_on, shards_of

Names = Callable[[], Awaitable[list[bytes]]]


class RecordingWriter(UndividedWriter):
    """A writer that records its commands."""

    def __init__(self, saver: BaseCheckpointer) -> None:
        super().__init__()
        self._writer = UnfencedWriter(saver.pipeline, saver.shards)
        self.groups: list[Sequence[RedisCommand]] = []

    async def flush(self) -> None:
        """No write is pending."""

    async def write(self, commands: Sequence[RedisCommand]) -> None:
        self.groups.append(commands)
        await self._writer.write(commands)


class DelayedWriter(UndividedWriter):
    """A writer that sends nothing before `flush`, as in a run with durability `async`."""

    def __init__(self, saver: BaseCheckpointer) -> None:
        super().__init__()
        self._writer = UnfencedWriter(saver.pipeline, saver.shards)
        self._waiting: list[RedisCommand] = []

    async def write(self, commands: Sequence[RedisCommand]) -> None:
        self._waiting += commands

    async def flush(self) -> None:
        waiting, self._waiting = self._waiting, []
        await self._writer.write(waiting)


class RejectingWriter(UndividedWriter):
    async def write(self, commands: Sequence[RedisCommand]) -> None:
        raise Fenced("another attempt has this run")

    async def flush(self) -> None:
        """No write is pending."""


async def _commands(pipeline: Pipeline) -> dict[str, int]:
    """The number of calls of each command that the server counted so far."""
    stats = (await pipeline.send("INFO", "commandstats")).decode()
    lines = [line.partition(":") for line in stats.split() if line.startswith("cmdstat_")]
    return {
        name.removeprefix("cmdstat_"): int(rest.partition("calls=")[2].partition(",")[0]) for name, _, rest in lines
    }


@pytest.mark.parametrize("loaded", ["latest", "named", "none"])
async def test_a_run_that_has_loaded_its_checkpoint_reads_nothing_before_it_writes(
    make_checkpointer: CheckpointerFactory, loaded: str
) -> None:
    """A superstep waits for the writes that were passed to the writer, not for those that a read delays."""
    saver = make_checkpointer(max_thread_bytes=1_000_000)
    stored = await put(saver, "t", {"a": 1})
    delayed = saver.for_run(DelayedWriter(saver))
    where = {"latest": config_of("t"), "named": config_of("t", stored), "none": config_of("new")}[loaded]
    await delayed.aget_tuple(where)
    with pytest.raises(StopIteration):  # it ends without waiting
        put(delayed, where["configurable"]["thread_id"], {"a": 2}).send(None)


async def test_each_operation_is_one_round_trip_and_one_script(saver: BaseCheckpointer) -> None:
    pipeline = saver.pipeline
    first = await put(saver, "t", {"a": 1, "b": 2}, run="r")
    await saver.aput_writes(config_of("t", first), [("a", 1)], "task")
    await saver.aget_tuple(config_of("t"))

    async def assert_one_round_trip(operation: Awaitable[Any]) -> None:
        scripts, trips = (await _commands(pipeline)).get("evalsha", 0), pipeline.round_trips
        await operation
        assert pipeline.round_trips - trips == 1
        after = await _commands(pipeline)
        assert after["evalsha"] - scripts == 1

    await assert_one_round_trip(put(saver, "t", {"a": 2, "b": 2}, parent=first, run="r"))
    await assert_one_round_trip(saver.aput_writes(config_of("t", first), [("a", 1), ("b", 2), (RESUME, 3)], "task"))
    await assert_one_round_trip(saver.aget_tuple(config_of("t")))
    await assert_one_round_trip(saver.aget_tuple(config_of("t", first)))
    await assert_one_round_trip(saver.aget_tuple(config_of("unknown")))


async def test_a_byte_limit_costs_no_round_trip_after_the_thread_was_read(
    make_checkpointer: CheckpointerFactory,
) -> None:
    saver = make_checkpointer(max_thread_bytes=100_000)
    pipeline = saver.pipeline
    await put(saver, "t", {"a": 1})
    clone = saver.for_run(UnfencedWriter(pipeline, saver.shards))
    await clone.latest("t")
    trips = pipeline.round_trips
    await put(clone, "t", {"a": 2})
    assert pipeline.round_trips - trips == 1


async def test_writes_are_commands_of_one_group(saver: BaseCheckpointer) -> None:
    recorder = RecordingWriter(saver)
    recording = saver.for_run(recorder, own_thread="t")
    checkpoint_id = await put(recording, "t", {"a": 1}, run="r")
    await recording.aput_writes(config_of("t", checkpoint_id), [("a", 1), (ERROR, "e")], "task", "path")
    assert len(recorder.groups) == 2
    core = {"ADD_FIELDS", "ADD_TO_INDEX", "COUNT_BYTES"}
    documents = {"JSON.SET", "STORE_DOCUMENTS", "SET", "ZADD", "INCRBY"}
    expected = core if isinstance(saver, CoreCheckpointer) else documents
    assert {command[0] for group in recorder.groups for command in group} == expected
    assert (await saver.aget_tuple(config_of("t"))) == (await recording.aget_tuple(config_of("t")))


async def test_a_read_returns_writes_that_were_not_sent_yet(saver: BaseCheckpointer) -> None:
    delayed = saver.for_run(DelayedWriter(saver))
    first = await put(delayed, "t", {"a": 1}, run="r")
    latest = await delayed.latest("t")
    assert latest is not None
    assert latest.checkpoint["id"] == first
    second = await put(delayed, "t", {"a": 2}, run="r", parent=first)
    assert [loaded.checkpoint["id"] async for loaded in delayed.alist(config_of("t"))] == [second, first]
    await put(delayed, "t", {"a": 3}, run="r", parent=second)
    await delayed.adelete_for_runs([run_on("t", "r")])
    assert [loaded async for loaded in delayed.alist(config_of("t"))] == []


async def test_the_stored_error_of_a_task_hides_messages_that_may_contain_secrets(saver: BaseCheckpointer) -> None:
    checkpoint_id = await put(saver, "t")
    for task, error in (("open", ValueError("no such order")), ("hidden", ConnectionError("redis://:password@host"))):
        await saver.aput_writes(config_of("t", checkpoint_id), [(ERROR, error)], task)
    loaded = await saver.latest("t")
    assert loaded is not None
    assert {task: value for task, _, value in loaded.pending_writes or []} == {
        "open": "ValueError('no such order')",
        "hidden": f"ConnectionError({HIDDEN!r})",
    }


async def test_a_checkpoint_that_the_writer_rejects_is_not_stored(saver: BaseCheckpointer, stored_keys: Names) -> None:
    with pytest.raises(Fenced):
        await put(saver.for_run(RejectingWriter()), "t", {"a": 1})
    assert await stored_keys() == []


async def test_an_unchanged_channel_is_not_copied(core: CoreCheckpointer) -> None:
    large = "x" * 100_000
    versions: dict[str, Any] = {"large": "00000001", "n": "00000001"}
    parent = await put(core, "t", {"large": large, "n": 0}, versions=versions)
    before = await core.thread_bytes("t")
    for n in range(1, 11):
        versions = {**versions, "n": f"{n + 1:08x}"}
        values = {"large": large, "n": n}
        parent = await put(core, "t", values, versions=versions, new={"n": versions["n"]}, parent=parent)
    assert await core.thread_bytes("t") - before < 10 * 400
    loaded = await core.latest("t")
    assert loaded is not None
    assert loaded.checkpoint["channel_values"] == {"large": large, "n": 10}


async def test_two_branches_of_a_thread_do_not_share_values(saver: BaseCheckpointer) -> None:
    root = await put(saver, "t", {"n": 0})
    left = right = ""
    value: Any
    for value in ("left", "right"):
        version = saver.get_next_version("00000001", None)
        checkpoint_id = await put(saver, "t", {"n": value}, versions={"n": version}, parent=root)
        left, right = (checkpoint_id, right) if value == "left" else (left, checkpoint_id)
    for checkpoint_id, value in ((root, 0), (left, "left"), (right, "right")):
        loaded = await saver.aget_tuple(config_of("t", checkpoint_id))
        assert loaded is not None
        assert loaded.checkpoint["channel_values"] == {"n": value}
        parent = loaded.parent_config
        assert (parent["configurable"]["checkpoint_id"] if parent else None) == (
            None if checkpoint_id == root else root
        )


def test_versions_increase_and_are_unique(saver: BaseCheckpointer) -> None:
    version: Any = None
    before: Any
    for before in (None, 7, 7.5, "00000000000000000000000000000003.0.7654"):
        made = {saver.get_next_version(before, None) for _ in range(50)}
        assert len(made) == 50
        assert before is None or all(after > before for after in made)
    for _ in range(300):
        after = saver.get_next_version(version, None)
        assert version is None or (after > version and len(after) == 16)
        version = after


async def test_repeated_writes_are_ignored_and_special_writes_replaced(saver: BaseCheckpointer) -> None:
    checkpoint_id = await put(saver, "t")
    config = config_of("t", checkpoint_id)
    await saver.aput_writes(config, [("a", 1), ("b", 1)], "task", "p")
    await saver.aput_writes(config, [("a", 2), ("b", 2), ("c", 2)], "task", "p")
    for value in ("old", "new"):
        await saver.aput_writes(
            config, [(ERROR, value), (INTERRUPT, value), (RESUME, value), (SCHEDULED, value)], "task", "p"
        )
    loaded = await saver.aget_tuple(config)
    assert loaded is not None
    assert loaded.pending_writes == [
        *(("task", RESUME, "new"), ("task", INTERRUPT, "new"), ("task", SCHEDULED, "new"), ("task", ERROR, "new")),
        *(("task", "a", 1), ("task", "b", 1), ("task", "c", 2)),
    ]


async def test_writes_are_ordered_by_task_path(saver: BaseCheckpointer) -> None:
    checkpoint_id = await put(saver, "t")
    paths = [
        "~__pregel_push, 0000000002",
        "~__pregel_pull, b",
        "",
        "~__pregel_push, 0000000001",
        "other",
        "~__pregel_pull, a",
    ]
    for number, path in enumerate(paths):
        await saver.aput_writes(config_of("t", checkpoint_id), [("c", path), ("d", number)], f"task{9 - number}", path)
    loaded = await saver.aget_tuple(config_of("t", checkpoint_id))
    assert loaded is not None
    assert [value for _, channel, value in loaded.pending_writes or [] if channel == "c"] == sorted(paths)


async def test_names_with_any_characters_are_stored(saver: BaseCheckpointer) -> None:
    values = {"": 1, "a\0b": 2, "ä *?[": 3, "n": 4, "c": 5, "1": 6}
    checkpoint_id = await put(
        saver, "thread:i *", values, ns="sub:1|äöü", versions={**dict.fromkeys(values, 3), "n": 0.1}
    )
    await saver.aput_writes(config_of("thread:i *", checkpoint_id, "sub:1|äöü"), [("a\0b", 1)], "task\0x", "\1odd")
    loaded = await saver.aget_tuple(config_of("thread:i *", ns="sub:1|äöü"))
    assert loaded is not None
    assert loaded.checkpoint["channel_values"] == values
    assert loaded.pending_writes == [("task\0x", "a\0b", 1)]
    with pytest.raises(InvalidRequest, match="checkpoint_ns"):
        await put(saver, "t", ns="a\0b")


async def test_a_checkpoint_with_9000_channels_is_stored(saver: BaseCheckpointer) -> None:
    values = {f"channel {number}": number for number in range(9000)}
    await put(saver, "t", values)
    loaded = await saver.latest("t")
    assert loaded is not None
    assert loaded.checkpoint["channel_values"] == values


async def test_a_checkpoint_with_an_unstorable_value_is_not_stored_at_all(
    saver: BaseCheckpointer, stored_keys: Names
) -> None:
    with pytest.raises(StateRefused):
        await put(saver, "t", {"fine": 1, "wrong": object()})
    assert await stored_keys() == []


async def test_a_write_over_the_byte_limit_of_a_thread_is_rejected(make_checkpointer: CheckpointerFactory) -> None:
    saver = make_checkpointer(max_thread_bytes=3000)
    checkpoint_id = await put(saver, "t", {"a": incompressible(1000)})
    used = await saver.thread_bytes("t")
    assert 1000 < used < 2200
    with pytest.raises(CeilingHit, match="state_bytes") as hit:
        await put(saver, "t", {"a": incompressible(2000)})
    assert (hit.value.full_code, hit.value.limit) == ("ceiling.state_bytes", 3000)
    with pytest.raises(CeilingHit):
        await saver.aput_writes(config_of("t", checkpoint_id), [("a", incompressible(2000))], "task")
    assert await saver.thread_bytes("t") == used
    await saver.aput_writes(config_of("t", checkpoint_id), [("a", "x" * 100)], "task")
    await put(saver, "other", {"a": incompressible(1400)})
    with pytest.raises(CeilingHit):
        await put(saver.for_run(UnfencedWriter(saver.pipeline, saver.shards)), "t", {"a": incompressible(2000)})


@pytest.mark.parametrize("channel", ["a", ERROR], ids=["stored once", "replaced"])
async def test_a_repeated_write_counts_its_bytes_once(saver: BaseCheckpointer, channel: str) -> None:
    checkpoint_id = await put(saver, "t", {"a": 1})
    await saver.aput_writes(config_of("t", checkpoint_id), [(channel, "x" * 500)], "task", "path")
    once = await saver.thread_bytes("t")
    await saver.aput_writes(config_of("t", checkpoint_id), [(channel, "x" * 500)], "task", "path")
    assert await saver.thread_bytes("t") == once


async def test_a_replaced_write_counts_its_last_bytes(saver: BaseCheckpointer) -> None:
    checkpoint_id = await put(saver, "t", {"a": 1})
    await saver.aput_writes(config_of("t", checkpoint_id), [(ERROR, "x" * 500)], "task")
    large = await saver.thread_bytes("t")
    await saver.aput_writes(config_of("t", checkpoint_id), [(ERROR, "x" * 100)], "task")
    assert 300 < large - await saver.thread_bytes("t") < 600  # a document has the value in base64


async def test_the_byte_counter_equals_the_stored_bytes(pipeline: Pipeline, keys: Keys, core: CoreCheckpointer) -> None:
    checkpoint_id = await put(core, "t", {"a": 1, "b": [1, 2]}, run="r", ns="sub:x")
    await core.aput_writes(config_of("t", checkpoint_id, "sub:x"), [("a", 1), (RESUME, 2)], "task", "path")
    stored = 0
    for name in await pipeline.send("KEYS", f"{shards_of(keys).of_thread('t').prefix}:cp:*"):
        if name.endswith(b":i"):
            stored += sum(map(len, await pipeline.send("ZRANGE", name, 0, -1)))
        else:
            stored_fields = await pipeline.send("HGETALL", name)
            stored += sum(map(len, stored_fields))
            if name.endswith(b":s"):
                stored -= 1 + len(stored_fields[stored_fields.index(b"n") + 1])
    assert await core.thread_bytes("t") == stored


async def test_the_user_is_not_stored_in_the_metadata(saver: BaseCheckpointer) -> None:
    target: dict[str, Any] = {"thread_id": "t", "checkpoint_ns": "", "tour": "north"}
    caller = {"langgraph_auth_user_id": "ann", "langgraph_auth_permissions": "all", "user_id": "ann"}
    metadata: Any = {"source": "loop", "step": 0}
    config: RunnableConfig = {"configurable": target | caller, "metadata": caller}
    stored = await saver.aput(config, checkpoint_of({}, {}), metadata | caller, {})
    loaded = await saver.aget_tuple(stored)
    assert loaded is not None
    assert loaded.metadata["tour"] == "north"  # type: ignore[typeddict-item]
    assert not loaded.metadata.keys() & caller.keys()


async def test_plain_data_of_the_config_is_stored_in_the_metadata(saver: BaseCheckpointer) -> None:
    """Lists, objects and the namespace of a subgraph are stored; values that are not JSON, and LangGraph's internal
    values, are not."""
    ring: list[Any] = []
    ring.append(ring)
    namespace: dict[str, Any] = {"thread_id": "t", "checkpoint_ns": "child:1", "checkpoint_map": {"": "c"}}
    not_stored = {"__pregel_read": len, "client": object(), "sealed": {"of": [object()]}, "ring": ring, "team": "mine"}
    deep: Any = 1
    for _ in range(200):
        deep = [deep]
    not_stored["deep"] = deep
    config: RunnableConfig = {
        "configurable": namespace | not_stored | {"nodes": ["one", {"two": None}], "text": "a\0b", "none": None},
        "metadata": {
            "thread_id": "t",
            "checkpoint_id": "forked from",
            "checkpoint_ns": "child:1",
            "langgraph_path": ("__pregel_pull", "child"),
            "team": "run's",
            "step": 7,
        },
    }
    stored = await saver.aput(config, checkpoint_of({}, {}), {"source": "loop", "step": 0}, {})
    loaded = await saver.aget_tuple(stored)
    assert loaded is not None
    assert loaded.metadata == {
        "source": "loop",
        "step": 0,
        "checkpoint_id": "forked from",
        "checkpoint_ns": "child:1",
        "checkpoint_map": {"": "c"},
        "langgraph_path": ["__pregel_pull", "child"],
        "team": "run's",
        "nodes": ["one", {"two": None}],
        "text": "ab",
        "none": None,
    }
