"""Pending writes of supersteps that have ended are stored as one value, and the history is the same as without that."""

from __future__ import annotations

import operator
import random
from typing import Annotated, Any, TypedDict

import pytest
from langchain_core.runnables import RunnableConfig
from langgraph.channels.delta import DeltaChannel
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.checkpoint.serde.types import ERROR, INTERRUPT
from langgraph.graph import END, START, StateGraph
from langgraph.types import Command, Interrupt, Send, interrupt

from slipway.checkpoints import core_reader
from slipway.checkpoints.core_checkpointer import CoreCheckpointer
from slipway.checkpoints.fenced_writers import UnfencedWriter
from slipway.errors import StoredDataError
from slipway.redis.checkpoint_keys import blob_field, member, names_of
from slipway.serialization.encryption import Encryption
from slipway.serialization.serde import Serde
from tests.checkpoints.conftest import config_of, put
from tests.shards import beside, run_on

CONFIG: RunnableConfig = {"configurable": {"thread_id": "t"}, "metadata": {"run_id": run_on("t", "r")}}


def _append(state: list[str], writes: Any) -> list[str]:
    return [*state, *(line for write in writes for line in write)]


class Survey(TypedDict):
    topics: list[str]
    found: Annotated[dict[str, str], operator.or_]
    lines: Annotated[list[str], DeltaChannel(_append, snapshot_frequency=3)]
    approved: str
    report: str


class Inner(TypedDict):
    topics: list[str]
    found: Annotated[dict[str, str], operator.or_]


def survey(saver: Any) -> Any:
    """Tasks in parallel with similar results, a subgraph, a delta channel, an interrupt, a node that fails once."""
    failures = iter([ValueError("the first try"), None])

    async def plan(state: Survey) -> dict[str, Any]:
        return {"topics": [f"topic {number}" for number in range(6)], "lines": ["planned"]}

    async def read(state: dict[str, str]) -> dict[str, Any]:
        return {
            "found": {state["topic"]: f"What the library says about it, {state['topic']}. " * 20},
            "lines": ["read"],
        }

    async def deepen(state: Inner) -> dict[str, Any]:
        return {"found": {f"{topic}, deeper": "Much more about the same topic. " * 20 for topic in state["topics"]}}

    async def approve(state: Survey) -> dict[str, Any]:
        return {"approved": interrupt({"report about": state["topics"]}), "lines": ["approved"]}

    async def unstable(state: Survey) -> dict[str, Any]:
        if (error := next(failures, None)) is not None:
            raise error
        return {"lines": ["unstable"]}

    async def write(state: Survey) -> dict[str, Any]:
        return {"report": " ".join(state["found"].values()), "lines": ["written"]}

    inner = StateGraph(Inner)
    inner.add_node("first", deepen)
    inner.add_node("second", deepen)
    inner.add_edge(START, "first")
    inner.add_edge("first", "second")
    outer = StateGraph(Survey)
    for node in (plan, read, approve, unstable, write):
        outer.add_node(node.__name__, node)
    outer.add_node("deepen", inner.compile())
    outer.add_edge(START, "plan")
    outer.add_conditional_edges("plan", lambda state: [Send("read", {"topic": topic}) for topic in state["topics"]])
    outer.add_edge("read", "deepen")
    outer.add_edge("deepen", "unstable")
    outer.add_edge("unstable", "approve")
    outer.add_edge("approve", "write")
    outer.add_edge("write", END)
    return outer.compile(checkpointer=saver)


async def _execute(saver: Any, durability: Any) -> Any:
    """A run that fails, one that continues it and is interrupted, and the answer. Returns the graph."""

    def clone() -> Any:
        if isinstance(saver, InMemorySaver):
            return saver
        return saver.for_run(UnfencedWriter(saver.pipeline, saver.shards))

    graph = survey(clone())
    with pytest.raises(ValueError, match="the first try"):
        await graph.ainvoke({"topics": []}, CONFIG, durability=durability)
    inputs: list[Any] = [None, Command(resume="yes")]
    for graph_input in inputs:
        graph.checkpointer = clone()
        await graph.ainvoke(graph_input, CONFIG, durability=durability)
    graph.checkpointer = saver
    return graph


async def _history(graph: Any) -> list[Any]:
    """What the history shows, without ids and times, which differ between two executions."""
    shown = []
    async for state in graph.aget_state_history({"configurable": {"thread_id": "t"}}):
        tasks = [
            (task.name, str(task.error), [item.value for item in task.interrupts], task.result, bool(task.state))
            for task in state.tasks
        ]
        metadata = {name: state.metadata.get(name) for name in ("source", "step")}
        shown.append((state.values, state.next, sorted(tasks, key=repr), metadata, [i.value for i in state.interrupts]))
    newest = await graph.aget_state({"configurable": {"thread_id": "t"}}, subgraphs=True)
    return [*shown, newest.values, newest.next]


async def _joined(saver: CoreCheckpointer) -> list[str]:
    """The fields with joined writes."""
    prefix = names_of(saver.keys, "t").writes_prefix
    keys = await saver.pipeline.send("KEYS", f"{prefix}*", repeatable=True)
    fields = [field.decode() for key in keys for field in await saver.pipeline.send("HKEYS", key, repeatable=True)]
    return sorted(field for field in fields if field.startswith("joined "))


@pytest.mark.parametrize("durability", ["sync", "async", "exit"])
async def test_the_history_is_that_of_the_in_memory_saver(core: CoreCheckpointer, durability: Any) -> None:
    expected = await _history(await _execute(InMemorySaver(), durability))
    graph = await _execute(core, durability)
    assert await _history(graph) == expected
    joined = await _joined(core)
    assert joined or durability == "exit"


async def test_joined_writes_count_as_before_and_need_fewer_bytes(core: CoreCheckpointer) -> None:
    await _execute(core, "async")
    with_joined = await core.storage("t")
    assert with_joined.writes.count == len(
        [write async for found in core.alist(config_of("t", ns=None)) for write in found.pending_writes or []]
    )
    assert await core.thread_bytes("t") >= with_joined.writes.size
    await core.adelete_thread("t")
    plain = CoreCheckpointer(core.pipeline, core.shards)
    graph = survey(plain)
    with pytest.raises(ValueError, match="the first try"):
        await graph.ainvoke({"topics": []}, CONFIG)
    await graph.ainvoke(None, CONFIG)
    await graph.ainvoke(Command(resume="yes"), CONFIG)
    assert not await _joined(plain)
    assert with_joined.writes.size < (await plain.storage("t")).writes.size


async def _with_joined_writes(saver: CoreCheckpointer) -> tuple[CoreCheckpointer, str]:
    """A clone of a run, and a checkpoint whose three pending writes it has joined; its child has a small value."""
    clone = saver.for_run(UnfencedWriter(saver.pipeline, saver.shards))
    first = await put(clone, "t", {"a": 1}, run="r")
    for task in ("one", "two", "three"):
        await clone.aput_writes(config_of("t", first), [("a", f"the result of a task, {task} " * 50)], task)
    await put(clone, "t", {"a": 2}, versions={"a": "00000002"}, parent=first, run="r")
    assert await _joined(saver) == ["joined 3"]
    return clone, first


async def _with_similar_writes(saver: CoreCheckpointer) -> str:
    """A checkpoint with an interrupt and a joined write that is compressed with a value of its child. The newest
    checkpoint has another value."""
    clone = saver.for_run(UnfencedWriter(saver.pipeline, saver.shards))
    first = await put(clone, "t", {"a": 1}, run="r")
    await clone.aput_writes(config_of("t", first), [("a", RANDOM)], "one")
    child = await put(clone, "t", {"a": [RANDOM]}, versions={"a": "2"}, parent=first, run="s")
    await clone.aput_writes(config_of("t", first), [(INTERRUPT, [QUESTION])], "two")
    await put(clone, "t", {"a": "small"}, versions={"a": "3"}, parent=child, run="r")
    (size,) = [size for field, size in (await _stored_writes(saver, first)).items() if field.startswith("joined ")]
    assert size < len(RANDOM) / 10
    return first


QUESTION = Interrupt("a question", id="1")
RANDOM = "".join(random.Random(1).choices("0123456789abcdef", k=4000))
"""What compression alone makes half as long at best."""


async def _stored_writes(saver: CoreCheckpointer, checkpoint_id: str) -> dict[str, int]:
    """The fields of its pending writes, with their bytes."""
    key = names_of(saver.keys, "t").writes_prefix + member("", checkpoint_id)
    flat = await saver.pipeline.send("HGETALL", key, repeatable=True)
    return {name.decode(): len(value) for name, value in zip(flat[::2], flat[1::2], strict=True)}


@pytest.mark.parametrize("encrypted", [False, True])
@pytest.mark.parametrize("deletion", ["none", "run", "retention", "copy"])
async def test_writes_that_resemble_a_value_are_read_as_long_as_their_checkpoint_exists(
    core: CoreCheckpointer, encrypted: bool, deletion: str
) -> None:
    serde = Serde(encryption=Encryption([bytes(32)]) if encrypted else None)
    saver = CoreCheckpointer(core.pipeline, core.shards, serde=serde)
    first = await _with_similar_writes(saver)
    thread = "t"
    match deletion:
        case "run":
            await saver.adelete_for_runs([run_on("t", "s")])
        case "retention":
            await core.pipeline.send("HSET", core.keys.thread("t"), "created_us", "1")
            deleted = await saver.retain("t", keep=1, incarnation="1")
            assert deleted is not None
            assert deleted.count == 1
        case "copy":
            await saver.acopy_thread("t", beside("t"))
            await saver.adelete_thread("t")
            thread = beside("t")
    expected = [("one", "a", RANDOM), ("two", INTERRUPT, [QUESTION])]
    found = await saver.aget_tuple(config_of(thread, first))
    assert found is not None
    assert found.pending_writes == expected
    assert [
        (write.task_id, write.channel, write.value) for write in await saver.stored_writes(found.config)
    ] == expected
    assert [each.pending_writes async for each in saver.alist(config_of(thread))][-1] == expected
    await saver.adelete_for_runs([run_on("t", "r")])
    await saver.adelete_thread(thread)
    assert await saver.thread_bytes(thread) == 0
    assert not await core.pipeline.send("KEYS", f"{core.keys.checkpoint_state('*')}", repeatable=True)


async def test_the_last_checkpoint_keeps_no_value_of_a_deleted_one(core: CoreCheckpointer) -> None:
    await _with_similar_writes(core)
    await core.aprune(["t"])
    state = names_of(core.keys, "t").state
    values = [name for name in await core.pipeline.send("HKEYS", state, repeatable=True) if name.startswith(b"b")]
    assert values == [blob_field("", "a", "3").encode()]


async def test_writes_whose_dictionary_is_missing_are_an_error(core: CoreCheckpointer) -> None:
    first = await _with_similar_writes(core)
    state, field = names_of(core.keys, "t").state, blob_field("", "a", "2")
    for damage in [("HSET", state, field, Serde().dumps([RANDOM[::-1]])), ("HDEL", state, field)]:
        await core.pipeline.send(*damage)
        with pytest.raises(StoredDataError, match="damaged"):
            await core.aget_tuple(config_of("t", first))


async def test_joined_writes_without_a_dictionary_are_read(core: CoreCheckpointer) -> None:
    """An earlier release stored them so, and so are those whose values are small or huge."""
    _, first = await _with_joined_writes(core)
    assert "dictionary" not in await _stored_writes(core, first)
    assert len(await core.stored_writes(config_of("t", first))) == 3


async def test_a_write_that_is_repeated_after_the_superstep_changes_nothing(core: CoreCheckpointer) -> None:
    clone, first = await _with_joined_writes(core)
    before = await core.stored_writes(config_of("t", first))
    await clone.aput_writes(config_of("t", first), [("a", "another value")], "two")
    assert await core.stored_writes(config_of("t", first)) == before
    await clone.aput_writes(config_of("t", first), [(ERROR, "late")], "two")
    assert [(write.task_id, write.channel) for write in await core.stored_writes(config_of("t", first))] == [
        ("one", "a"),
        ("three", "a"),
        ("two", ERROR),
        ("two", "a"),
    ]


async def test_the_byte_counter_equals_the_stored_bytes_of_joined_writes(core: CoreCheckpointer) -> None:
    await _with_joined_writes(core)
    names = names_of(core.keys, "t")
    stored = sum(map(len, await core.pipeline.send("ZRANGE", names.index, 0, -1, repeatable=True)))
    for key in [names.state, *await core.pipeline.send("KEYS", f"{names.writes_prefix}*", repeatable=True)]:
        flat = await core.pipeline.send("HGETALL", key, repeatable=True)
        stored += sum(len(name) + len(value) for name, value in zip(flat[::2], flat[1::2], strict=True) if name != b"n")
    assert await core.thread_bytes("t") == stored


async def test_the_budget_counts_joined_writes_instead_of_those_that_they_replace(core: CoreCheckpointer) -> None:
    saver = core.for_run(UnfencedWriter(core.pipeline, core.shards), own_thread="t", max_thread_bytes=20_000)
    newest = await put(saver, "t", {"a": 0}, run="r")
    for step in range(1, 6):
        for task in ("one", "two", "three"):
            await saver.aput_writes(config_of("t", newest), [("a", RANDOM)], task)
        newest = await put(saver, "t", {"a": step}, versions={"a": str(step)}, parent=newest, run="r")
    assert await _joined(core) == ["joined 3"] * 5


async def test_only_writes_of_checkpoints_that_the_attempt_stored_are_joined(core: CoreCheckpointer) -> None:
    earlier = core.for_run(UnfencedWriter(core.pipeline, core.shards))
    first = await put(earlier, "t", {"a": 1}, run="r")
    await earlier.aput_writes(config_of("t", first), [("a", "stored by the first attempt " * 50)], "one")
    later = core.for_run(UnfencedWriter(core.pipeline, core.shards))
    await later.aget_tuple(config_of("t"))
    for task in ("two", "three"):
        await later.aput_writes(config_of("t", first), [("a", "stored by the second " * 50)], task)
    await put(later, "t", {"a": 2}, parent=first, run="r")
    assert not await _joined(core)
    assert [write.task_id for write in await core.stored_writes(config_of("t", first))] == ["one", "three", "two"]


async def test_joined_writes_are_copied_deleted_and_encrypted(core: CoreCheckpointer) -> None:
    _, first = await _with_joined_writes(core)
    await core.acopy_thread("t", beside("t"))
    assert await core.stored_writes(config_of(beside("t"), first)) == await core.stored_writes(config_of("t", first))
    await core.adelete_for_runs([run_on("t", "r")])
    assert await core.thread_bytes("t") == 0

    encrypting = CoreCheckpointer(core.pipeline, core.shards, serde=Serde(encryption=Encryption([bytes(32)])))
    _, first = await _with_joined_writes(encrypting)
    key = names_of(core.keys, "t").writes_prefix + member("", first)
    (joined,) = await core.pipeline.send("HVALS", key, repeatable=True)
    assert joined[:1] == b"\xc1"
    assert len(await encrypting.stored_writes(config_of("t", first))) == 3


async def test_delta_channels_are_rebuilt_from_joined_writes(
    core: CoreCheckpointer, monkeypatch: pytest.MonkeyPatch
) -> None:
    clone, first = await _with_joined_writes(core)
    newest = await put(clone, "t", {"b": 3}, parent=(await listed(core))[0], run="r")
    for page_bytes in (core_reader.PAGE_BYTES, 50):
        monkeypatch.setattr(core_reader, "PAGE_BYTES", page_bytes)
        history = await core.aget_delta_channel_history(config=config_of("t", newest), channels=["x", "b"])
        assert history == {"x": {"writes": []}, "b": {"writes": []}}
    history = await core.aget_delta_channel_history(config=config_of("t", await child_of(core, first)), channels=["a"])
    assert [write[0] for write in history["a"]["writes"]] == ["one", "three", "two"]


async def listed(saver: CoreCheckpointer) -> list[str]:
    return await saver.checkpoint_ids("t", "")


async def child_of(saver: CoreCheckpointer, parent_id: str) -> str:
    ids = await listed(saver)
    return ids[ids.index(parent_id) - 1]
