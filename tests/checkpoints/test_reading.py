"""Listing checkpoints with filters, bounds, namespaces and pages, compared with LangGraph's in-memory checkpointer."""

from __future__ import annotations

import random
from typing import Any

import pytest
from langgraph.checkpoint.base import CheckpointTuple
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.checkpoint.serde.types import ERROR, RESUME
from langgraph.graph import START, StateGraph
from langgraph.types import StateSnapshot
from structlog.testing import capture_logs
from typing_extensions import TypedDict

from slipway.checkpoints import core_reader
from slipway.checkpoints.base_checkpointer import BaseCheckpointer
from slipway.checkpoints.core_checkpointer import CoreCheckpointer
from slipway.checkpoints.langgraph_redis import checkpointer as documents_saver
from slipway.errors import StoredDataError, StoreUnavailable
from slipway.redis.checkpoint_keys import blob_field, names_of
from slipway.redis.connection import Address
from slipway.redis.keys import Keys
from slipway.redis.pipeline import Pipeline
from slipway.redis.server_pipeline import ServerPipeline
from slipway.threads.state_reader import read_history, read_state
from slipway.threads.subgraph_states import with_subgraphs
from tests.checkpoints.conftest import config_of, documents_prefix, listed_ids, put
from tests.checkpoints.sample_graphs import refund_graph
from tests.incompressible import incompressible
from tests.shards import run_on, shards_of


async def test_an_unknown_checkpoint_is_none(saver: BaseCheckpointer) -> None:
    await put(saver, "t", {"a": 1})
    assert await saver.aget_tuple(config_of("t", "1f0c6e00-0000-6000-8000-000000000000")) is None
    assert await saver.aget_tuple(config_of("t", ns="elsewhere")) is None
    assert await saver.latest("unknown") is None
    assert await listed_ids(saver, config_of("unknown")) == []
    assert await saver.thread_bytes("unknown") == 0


async def test_a_thread_with_many_checkpoints_is_listed_in_pages(saver: BaseCheckpointer) -> None:
    created_ids = [await put(saver, "t", {"n": n}, versions={"n": f"{n:08x}"}, even=n % 2 == 0) for n in range(100)]
    newest = created_ids[::-1]
    await listed_ids(saver, config_of("t"), limit=1)  # loads the scripts
    trips = saver.pipeline.round_trips
    listing = saver.alist(config_of("t"))
    assert [(await anext(listing)).checkpoint["id"] for _ in range(5)] == newest[:5]
    assert saver.pipeline.round_trips - trips == (1 if isinstance(saver, CoreCheckpointer) else 2)
    assert [loaded.checkpoint["id"] async for loaded in listing] == newest[5:]

    assert await listed_ids(saver, config_of("t"), limit=40) == newest[:40]
    assert await listed_ids(saver, config_of("t"), limit=0) == []
    assert await listed_ids(saver, config_of("t"), before=config_of("t", created_ids[50]), limit=3) == [
        created_ids[49],
        created_ids[48],
        created_ids[47],
    ]
    assert await listed_ids(saver, config_of("t"), filter={"even": True}) == created_ids[98::-2]
    assert await listed_ids(saver, config_of("t"), filter={"even": True}, limit=40) == created_ids[98::-2][:40]
    assert await listed_ids(saver, config_of("t"), filter={"even": True, "step": 1}) == []
    assert await listed_ids(saver, config_of("t", ns=None)) == newest
    assert await listed_ids(saver, config_of("t", ns=None), filter={"even": False}, limit=2) == [
        created_ids[99],
        created_ids[97],
    ]
    assert await listed_ids(saver, config_of("t", ns=None), before=config_of("t", created_ids[3])) == [
        created_ids[2],
        created_ids[1],
        created_ids[0],
    ]
    assert await listed_ids(saver, config_of("t", created_ids[7])) == [created_ids[7]]
    assert await listed_ids(saver, config_of("t", created_ids[7], ns=None)) == [created_ids[7]]


async def test_a_page_ends_early_when_values_are_large(
    saver: BaseCheckpointer, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (core_reader, documents_saver):
        monkeypatch.setattr(module, "PAGE_BYTES", 5000)
    created_ids = [
        await put(saver, "t", {"n": incompressible(2000)}, versions={"n": f"{n:08x}"}, k=1) for n in range(9)
    ]
    await listed_ids(saver, config_of("t"), limit=1)  # loads the scripts
    trips = saver.pipeline.round_trips
    assert await listed_ids(saver, config_of("t")) == created_ids[::-1]
    assert saver.pipeline.round_trips - trips == (4 if isinstance(saver, CoreCheckpointer) else 6)
    assert await listed_ids(saver, config_of("t"), filter={"k": 1}) == created_ids[::-1]
    assert await listed_ids(saver, config_of("t", ns=None)) == created_ids[::-1]


async def test_a_page_ends_early_when_pending_writes_are_large(
    saver: BaseCheckpointer, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (core_reader, documents_saver):
        monkeypatch.setattr(module, "PAGE_BYTES", 8000)
    created_ids = []
    for n in range(9):
        created_ids.append(await put(saver, "t", {"n": n}, versions={"n": f"{n:08x}"}))
        await saver.aput_writes(config_of("t", created_ids[-1]), [("n", incompressible(3000))], "task")
    trips = saver.pipeline.round_trips
    assert await listed_ids(saver, config_of("t")) == created_ids[::-1]
    assert saver.pipeline.round_trips - trips >= 4


async def test_checkpoints_are_listed_by_thread_and_namespace(saver: BaseCheckpointer) -> None:
    created_ids: dict[tuple[str, str], list[str]] = {}
    for _ in range(3):
        for thread_id in ("t", "u"):
            for ns in ("", "sub:1", "sub:1|deep:2", "sub:10"):
                created_ids.setdefault((thread_id, ns), []).append(await put(saver, thread_id, ns=ns, run="r"))
    for (thread_id, ns), stored_ids in created_ids.items():
        assert await listed_ids(saver, config_of(thread_id, ns=ns)) == stored_ids[::-1]
        assert (
            await listed_ids(saver, config_of(thread_id, ns=ns), filter={"run_id": run_on(thread_id, "r")}, limit=1)
            == stored_ids[-1:]
        )
    all_of_t = sorted(
        (checkpoint_id for key, stored_ids in created_ids.items() if key[0] == "t" for checkpoint_id in stored_ids),
        reverse=True,
    )
    assert await listed_ids(saver, config_of("t", ns=None)) == all_of_t
    assert sorted(await listed_ids(saver, None)) == sorted(
        checkpoint_id for stored_ids in created_ids.values() for checkpoint_id in stored_ids
    )
    assert len(await listed_ids(saver, None, limit=7)) == 7
    assert await listed_ids(saver, None, filter={"run_id": "other"}) == []


async def test_writes_of_one_checkpoint_to_a_delta_channel_are_ordered(saver: BaseCheckpointer) -> None:
    parent = await put(saver, "t")
    child = config_of("t", await put(saver, "t", parent=parent))
    for task, first in (("a", 0), ("b", 2)):
        writes = [("lines", first), ("other", "x"), ("lines", first + 1)]
        await saver.aput_writes(config_of("t", parent), writes, task, f"~__pregel_pull, {task}")
    history = await saver.aget_delta_channel_history(config=child, channels=["lines"])
    assert history == {
        "lines": {"writes": [("a", "lines", 0), ("a", "lines", 1), ("b", "lines", 2), ("b", "lines", 3)]}
    }


async def test_pending_writes_alone_are_not_listed_as_a_checkpoint(saver: BaseCheckpointer) -> None:
    checkpoint_id = await put(saver, "t", {"a": 1})
    await saver.aput_writes(config_of("t", "ffffffff-0000-6000-8000-000000000000"), [("a", 1)], "task")
    assert await listed_ids(saver, config_of("t")) == [checkpoint_id]
    assert await listed_ids(saver, config_of("t", ns=None)) == [checkpoint_id]
    loaded = await saver.latest("t")
    assert loaded is not None
    assert loaded.checkpoint["id"] == checkpoint_id
    late = await put(saver, "t", {"a": 1}, checkpoint_id="ffffffff-0000-6000-8000-000000000000")
    loaded = await saver.latest("t")
    assert loaded is not None
    assert (loaded.checkpoint["id"], loaded.pending_writes) == (late, [("task", "a", 1)])


async def test_metadata_contains_the_plain_config_of_the_run(saver: BaseCheckpointer) -> None:
    config: Any = config_of("t")
    config["configurable"] |= {"run_id": "r", "user": "u", "__hidden": 1, "object": object()}
    config["metadata"] = {"assistant_id": "a", "thread_id": "t"}
    checkpoint_id = (await saver.aput(config, _checkpoint("1"), {"source": "input", "step": -1}, {}))["configurable"]
    loaded = await saver.aget_tuple({"configurable": checkpoint_id})
    assert loaded is not None
    assert loaded.metadata == {"source": "input", "step": -1, "run_id": "r", "user": "u", "assistant_id": "a"}


async def test_a_history_skips_a_damaged_checkpoint_and_logs_it(saver: BaseCheckpointer, keys: Keys) -> None:
    def count(state: Counted) -> Counted:
        return {"number": state["number"] + 1}

    builder = StateGraph(Counted).add_node("one", count).add_node("two", count)
    graph = builder.add_edge(START, "one").add_edge("one", "two").compile(checkpointer=saver)
    await graph.ainvoke({"number": 0}, config_of("t"))
    states = [state async for state in graph.aget_state_history(config_of("t"))]
    checkpoints = [state.config["configurable"]["checkpoint_id"] for state in states]
    await _damage(saver, keys, "t", states[1])

    for state in (states[0], states[2], states[3]):
        assert await read_state(graph, state.config) == state
    with pytest.raises(StoredDataError):
        await read_state(graph, states[1].config)
    with capture_logs() as logs:
        assert await read_history(graph, config_of("t"), filter=None, before=None, limit=10) == [states[0], *states[2:]]
    assert [(line["event"], line["checkpoint"]) for line in logs] == [("checkpoint.damaged", checkpoints[1])]
    assert await read_history(graph, config_of("t"), filter=None, before=config_of("t", checkpoints[0]), limit=1) == [
        states[2]
    ]
    assert await read_history(graph, config_of("t"), filter={"step": -1}, before=None, limit=10) == [states[3]]
    with pytest.raises(StoredDataError):
        await read_history(graph, config_of("t", checkpoints[1]), filter=None, before=None, limit=10)


async def test_an_outage_while_states_of_subgraphs_are_read_is_an_error(valkey_url: str, keys: Keys) -> None:
    pipeline = ServerPipeline(Address(valkey_url), "test", patience_s=5)
    await pipeline.open()
    graph = refund_graph(CoreCheckpointer(pipeline, shards_of(keys)))
    await graph.ainvoke({"amount": 5, "log": []}, config_of("t"))
    state = await graph.aget_state(config_of("t"))
    inner: Any = (await with_subgraphs(graph, state)).tasks[0].state
    assert inner.values["log"] == ["prepared"]
    await pipeline.close()
    with pytest.raises(StoreUnavailable):
        await with_subgraphs(graph, state)


class Counted(TypedDict):
    number: int


async def _damage(saver: BaseCheckpointer, keys: Keys, thread_id: str, state: StateSnapshot) -> None:
    """Damage the stored value of the only channel of a checkpoint. No other checkpoint has the same value."""
    checkpoint_id = state.config["configurable"]["checkpoint_id"]
    stored = await saver.aget_tuple(state.config)
    assert stored is not None
    if isinstance(saver, CoreCheckpointer):
        field = blob_field("", "number", stored.checkpoint["channel_versions"]["number"])
        await saver.pipeline.send("HSET", names_of(keys, thread_id).state, field, b"\xc1")
    else:
        (key,) = await saver.pipeline.send("KEYS", f"{documents_prefix(keys)}:*{checkpoint_id}")
        await saver.pipeline.send("JSON.SET", key, "$.checkpoint.channel_values.number", '"!"')


async def test_damaged_data_raises_stored_data_error(pipeline: Pipeline, keys: Keys, core: CoreCheckpointer) -> None:
    checkpoint_id = await put(core, "t", {"a": "text"})
    state = names_of(keys, "t").state
    await pipeline.send("HSET", state, "b\0a\00000000001", b"\xc1\xc1")
    with pytest.raises(StoredDataError):
        await core.latest("t")
    record = await pipeline.send("HGET", state, f"c\0{checkpoint_id}")
    await pipeline.send("HSET", state, f"c\0{checkpoint_id}", record[:-3])
    with pytest.raises(StoredDataError):
        await core.latest("t")


def _checkpoint(checkpoint_id: str) -> Any:
    return {"v": 4, "id": checkpoint_id, "ts": "", "channel_values": {}, "channel_versions": {}, "versions_seen": {}}


def _plain(loaded: CheckpointTuple) -> Any:
    return (loaded.config, loaded.checkpoint, loaded.metadata, loaded.parent_config, loaded.pending_writes)


@pytest.mark.parametrize("seed", range(6))
async def test_results_equal_those_of_the_memory_checkpointer(saver: BaseCheckpointer, seed: int) -> None:
    """Both checkpointers store the same random history."""
    rng = random.Random(seed)
    memory = InMemorySaver()
    stored: list[tuple[str, str, str, dict[str, Any], dict[str, Any]]] = []
    for number in range(60):
        thread_id, ns = rng.choice("tu"), rng.choice(["", "", "s:1", "s:1|x:2"])
        parents = [entry for entry in stored if entry[:2] == (thread_id, ns)]
        if parents and rng.random() < 0.5:
            _, _, checkpoint_id, _, _ = rng.choice(parents)
            names = rng.choices(["a", "b", ERROR, RESUME, "c"], k=rng.randint(1, 4))
            writes = [(name, rng.randint(0, 9)) for name in names]
            task, path = rng.choice(["t1", "t2"]), rng.choice(["", "p1", "p2"])
            for one in (saver, memory):
                await one.aput_writes(config_of(thread_id, checkpoint_id, ns), writes, task, path)
            continue
        _, _, parent, values, versions = rng.choice(parents) if parents else ("", "", None, {}, {})
        changed: dict[str, Any] = dict.fromkeys(rng.sample("abc", rng.randint(0, 3)), f"{number:08x}")
        values = {**values, **{channel: {"n": [number]} for channel in changed}}
        if changed and rng.random() < 0.2:
            values.pop(rng.choice(list(changed)))  # a channel without a value
        versions = {**versions, **changed}
        checkpoint_id = f"{number:04}-{rng.random()}"
        for one in (saver, memory):
            await put(
                one,
                thread_id,
                values,
                versions=versions,
                new=changed,
                ns=ns,
                parent=parent,
                checkpoint_id=checkpoint_id,
                k=number % 3,
            )
        stored.append((thread_id, ns, checkpoint_id, values, versions))

    for thread_id, ns in {entry[:2] for entry in stored}:
        for options in (
            {},
            {"filter": {"k": 1}},
            {"limit": 2},
            {"before": config_of(thread_id, stored[len(stored) // 2][2], ns)},
        ):
            listed = [_plain(loaded) async for loaded in saver.alist(config_of(thread_id, ns=ns), **options)]
            expected = [_plain(loaded) async for loaded in memory.alist(config_of(thread_id, ns=ns), **options)]
            assert listed == expected
        latest, expected_latest = (
            await saver.aget_tuple(config_of(thread_id, ns=ns)),
            memory.get_tuple(config_of(thread_id, ns=ns)),
        )
        assert latest is not None
        assert expected_latest is not None
        assert _plain(latest) == _plain(expected_latest)
