"""Listing: filters, bounds, namespaces, pages. And the same answers as LangGraph's in-memory checkpointer."""

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
from slipway.threads.state_reader import read_history, read_state
from slipway.threads.subgraph_states import with_subgraphs
from tests.checkpoints.conftest import at, documents_prefix, ids, put
from tests.checkpoints.test_graphs import refund_graph


async def test_an_unknown_checkpoint_is_none(saver: BaseCheckpointer) -> None:
    await put(saver, "t", {"a": 1})
    assert await saver.aget_tuple(at("t", "1f0c6e00-0000-6000-8000-000000000000")) is None
    assert await saver.aget_tuple(at("t", ns="elsewhere")) is None
    assert await saver.latest("nobody") is None
    assert await ids(saver, at("nobody")) == []
    assert await saver.thread_bytes("nobody") == 0


async def test_a_thread_with_many_checkpoints_is_listed_in_pages(saver: BaseCheckpointer) -> None:
    made = [await put(saver, "t", {"n": n}, versions={"n": f"{n:08x}"}, even=n % 2 == 0) for n in range(100)]
    newest = made[::-1]
    await ids(saver, at("t"), limit=1)  # from now on the server knows the scripts
    trips = saver.pipeline.round_trips
    listing = saver.alist(at("t"))
    assert [(await anext(listing)).checkpoint["id"] for _ in range(5)] == newest[:5]
    assert saver.pipeline.round_trips - trips == (1 if isinstance(saver, CoreCheckpointer) else 2)
    assert [found.checkpoint["id"] async for found in listing] == newest[5:]

    assert await ids(saver, at("t"), limit=40) == newest[:40]
    assert await ids(saver, at("t"), limit=0) == []
    assert await ids(saver, at("t"), before=at("t", made[50]), limit=3) == [made[49], made[48], made[47]]
    assert await ids(saver, at("t"), filter={"even": True}) == made[98::-2]
    assert await ids(saver, at("t"), filter={"even": True}, limit=40) == made[98::-2][:40]
    assert await ids(saver, at("t"), filter={"even": True, "step": 1}) == []
    assert await ids(saver, at("t", ns=None)) == newest
    assert await ids(saver, at("t", ns=None), filter={"even": False}, limit=2) == [made[99], made[97]]
    assert await ids(saver, at("t", ns=None), before=at("t", made[3])) == [made[2], made[1], made[0]]
    assert await ids(saver, at("t", made[7])) == [made[7]]
    assert await ids(saver, at("t", made[7], ns=None)) == [made[7]]


async def test_a_page_ends_early_when_values_are_large(
    saver: BaseCheckpointer, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (core_reader, documents_saver):
        monkeypatch.setattr(module, "PAGE_BYTES", 5000)
    made = [await put(saver, "t", {"n": "x" * 2000}, versions={"n": f"{n:08x}"}, k=1) for n in range(9)]
    await ids(saver, at("t"), limit=1)  # from now on the server knows the scripts
    trips = saver.pipeline.round_trips
    assert await ids(saver, at("t")) == made[::-1]
    assert saver.pipeline.round_trips - trips == (4 if isinstance(saver, CoreCheckpointer) else 6)
    assert await ids(saver, at("t"), filter={"k": 1}) == made[::-1]
    assert await ids(saver, at("t", ns=None)) == made[::-1]


async def test_a_page_ends_early_when_pending_writes_are_large(
    saver: BaseCheckpointer, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (core_reader, documents_saver):
        monkeypatch.setattr(module, "PAGE_BYTES", 8000)
    made = []
    for n in range(9):
        made.append(await put(saver, "t", {"n": n}, versions={"n": f"{n:08x}"}))
        await saver.aput_writes(at("t", made[-1]), [("n", "x" * 3000)], "task")
    trips = saver.pipeline.round_trips
    assert await ids(saver, at("t")) == made[::-1]
    assert saver.pipeline.round_trips - trips >= 4


async def test_checkpoints_are_listed_by_thread_and_namespace(saver: BaseCheckpointer) -> None:
    made: dict[tuple[str, str], list[str]] = {}
    for _ in range(3):
        for thread_id in ("t", "u"):
            for ns in ("", "sub:1", "sub:1|deep:2", "sub:10"):
                made.setdefault((thread_id, ns), []).append(await put(saver, thread_id, ns=ns, run_id="r"))
    for (thread_id, ns), idents in made.items():
        assert await ids(saver, at(thread_id, ns=ns)) == idents[::-1]
        assert await ids(saver, at(thread_id, ns=ns), filter={"run_id": "r"}, limit=1) == idents[-1:]
    of_t = sorted((ident for key, idents in made.items() if key[0] == "t" for ident in idents), reverse=True)
    assert await ids(saver, at("t", ns=None)) == of_t
    assert sorted(await ids(saver, None)) == sorted(ident for idents in made.values() for ident in idents)
    assert len(await ids(saver, None, limit=7)) == 7
    assert await ids(saver, None, filter={"run_id": "other"}) == []


async def test_writes_of_one_checkpoint_to_a_delta_channel_are_ordered(saver: BaseCheckpointer) -> None:
    parent = await put(saver, "t")
    child = at("t", await put(saver, "t", parent=parent))
    for task, first in (("a", 0), ("b", 2)):
        writes = [("lines", first), ("other", "x"), ("lines", first + 1)]
        await saver.aput_writes(at("t", parent), writes, task, f"~__pregel_pull, {task}")
    history = await saver.aget_delta_channel_history(config=child, channels=["lines"])
    assert history == {
        "lines": {"writes": [("a", "lines", 0), ("a", "lines", 1), ("b", "lines", 2), ("b", "lines", 3)]}
    }


async def test_pending_writes_alone_are_not_listed_as_a_checkpoint(saver: BaseCheckpointer) -> None:
    ident = await put(saver, "t", {"a": 1})
    await saver.aput_writes(at("t", "ffffffff-0000-6000-8000-000000000000"), [("a", 1)], "task")
    assert await ids(saver, at("t")) == [ident]
    assert await ids(saver, at("t", ns=None)) == [ident]
    found = await saver.latest("t")
    assert found is not None
    assert found.checkpoint["id"] == ident
    late = await put(saver, "t", {"a": 1}, ident="ffffffff-0000-6000-8000-000000000000")
    found = await saver.latest("t")
    assert found is not None
    assert (found.checkpoint["id"], found.pending_writes) == (late, [("task", "a", 1)])


async def test_metadata_contains_the_plain_config_of_the_run(saver: BaseCheckpointer) -> None:
    config: Any = at("t")
    config["configurable"] |= {"run_id": "r", "user": "u", "__hidden": 1, "object": object()}
    config["metadata"] = {"assistant_id": "a", "thread_id": "t"}
    ident = (await saver.aput(config, _checkpoint("1"), {"source": "input", "step": -1}, {}))["configurable"]
    found = await saver.aget_tuple({"configurable": ident})
    assert found is not None
    assert found.metadata == {"source": "input", "step": -1, "run_id": "r", "user": "u", "assistant_id": "a"}


async def test_a_history_skips_a_damaged_checkpoint_and_logs_it(saver: BaseCheckpointer, keys: Keys) -> None:
    def count(state: Counted) -> Counted:
        return {"number": state["number"] + 1}

    builder = StateGraph(Counted).add_node("one", count).add_node("two", count)
    graph = builder.add_edge(START, "one").add_edge("one", "two").compile(checkpointer=saver)
    await graph.ainvoke({"number": 0}, at("t"))
    states = [state async for state in graph.aget_state_history(at("t"))]
    place = [state.config["configurable"]["checkpoint_id"] for state in states]
    await _damage(saver, keys, "t", states[1])

    for state in (states[0], states[2], states[3]):
        assert await read_state(graph, state.config) == state
    with pytest.raises(StoredDataError):
        await read_state(graph, states[1].config)
    with capture_logs() as logs:
        assert await read_history(graph, at("t"), filter=None, before=None, limit=10) == [states[0], *states[2:]]
    assert [(line["event"], line["checkpoint"]) for line in logs] == [("checkpoint.damaged", place[1])]
    assert await read_history(graph, at("t"), filter=None, before=at("t", place[0]), limit=1) == [states[2]]
    assert await read_history(graph, at("t"), filter={"step": -1}, before=None, limit=10) == [states[3]]
    with pytest.raises(StoredDataError):
        await read_history(graph, at("t", place[1]), filter=None, before=None, limit=10)


async def test_an_outage_while_states_of_subgraphs_are_read_is_an_error(valkey_url: str, keys: Keys) -> None:
    pipeline = Pipeline(Address(valkey_url), "test", patience_s=5)
    await pipeline.open()
    graph = refund_graph(CoreCheckpointer(pipeline, keys))
    await graph.ainvoke({"amount": 5, "log": []}, at("t"))
    state = await graph.aget_state(at("t"))
    inner: Any = (await with_subgraphs(graph, state)).tasks[0].state
    assert inner.values["log"] == ["prepared"]
    await pipeline.close()
    with pytest.raises(StoreUnavailable):
        await with_subgraphs(graph, state)


class Counted(TypedDict):
    number: int


async def _damage(saver: BaseCheckpointer, keys: Keys, thread_id: str, state: StateSnapshot) -> None:
    """Make the value of the checkpoint's only channel unreadable, where no other checkpoint has it too."""
    ident = state.config["configurable"]["checkpoint_id"]
    stored = await saver.aget_tuple(state.config)
    assert stored is not None
    if isinstance(saver, CoreCheckpointer):
        field = blob_field("", "number", stored.checkpoint["channel_versions"]["number"])
        await saver.pipeline.send("HSET", names_of(keys, thread_id).state, field, b"\xc1")
    else:
        (key,) = await saver.pipeline.send("KEYS", f"{documents_prefix(keys)}:*{ident}")
        await saver.pipeline.send("JSON.SET", key, "$.checkpoint.channel_values.number", '"!"')


async def test_damaged_data_raises_stored_data_error(pipeline: Pipeline, keys: Keys, core: CoreCheckpointer) -> None:
    ident = await put(core, "t", {"a": "text"})
    state = names_of(keys, "t").state
    await pipeline.send("HSET", state, "b\0a\00000000001", b"\xc1\xc1")
    with pytest.raises(StoredDataError):
        await core.latest("t")
    record = await pipeline.send("HGET", state, f"c\0{ident}")
    await pipeline.send("HSET", state, f"c\0{ident}", record[:-3])
    with pytest.raises(StoredDataError):
        await core.latest("t")


def _checkpoint(ident: str) -> Any:
    return {"v": 4, "id": ident, "ts": "", "channel_values": {}, "channel_versions": {}, "versions_seen": {}}


def _plain(found: CheckpointTuple) -> Any:
    return (found.config, found.checkpoint, found.metadata, found.parent_config, found.pending_writes)


@pytest.mark.parametrize("seed", range(6))
async def test_results_equal_those_of_the_memory_checkpointer(saver: BaseCheckpointer, seed: int) -> None:
    """A long random history, told to both."""
    luck = random.Random(seed)
    memory = InMemorySaver()
    heads: list[tuple[str, str, str, dict[str, Any], dict[str, Any]]] = []
    for number in range(60):
        thread_id, ns = luck.choice("tu"), luck.choice(["", "", "s:1", "s:1|x:2"])
        parents = [head for head in heads if head[:2] == (thread_id, ns)]
        if parents and luck.random() < 0.5:
            _, _, ident, _, _ = luck.choice(parents)
            names = luck.choices(["a", "b", ERROR, RESUME, "c"], k=luck.randint(1, 4))
            writes = [(name, luck.randint(0, 9)) for name in names]
            task, path = luck.choice(["t1", "t2"]), luck.choice(["", "p1", "p2"])
            for one in (saver, memory):
                await one.aput_writes(at(thread_id, ident, ns), writes, task, path)
            continue
        _, _, parent, values, versions = luck.choice(parents) if parents else ("", "", None, {}, {})
        changed: dict[str, Any] = dict.fromkeys(luck.sample("abc", luck.randint(0, 3)), f"{number:08x}")
        values = {**values, **{channel: {"n": [number]} for channel in changed}}
        if changed and luck.random() < 0.2:
            values.pop(luck.choice(list(changed)))  # a channel that was emptied
        versions = {**versions, **changed}
        ident = f"{number:04}-{luck.random()}"
        for one in (saver, memory):
            await put(
                one, thread_id, values, versions=versions, new=changed, ns=ns, parent=parent, ident=ident, k=number % 3
            )
        heads.append((thread_id, ns, ident, values, versions))

    for thread_id, ns in {head[:2] for head in heads}:
        for how in ({}, {"filter": {"k": 1}}, {"limit": 2}, {"before": at(thread_id, heads[len(heads) // 2][2], ns)}):
            ours = [_plain(found) async for found in saver.alist(at(thread_id, ns=ns), **how)]
            theirs = [_plain(found) async for found in memory.alist(at(thread_id, ns=ns), **how)]
            assert ours == theirs
        latest, theirs_latest = await saver.aget_tuple(at(thread_id, ns=ns)), memory.get_tuple(at(thread_id, ns=ns))
        assert latest is not None
        assert theirs_latest is not None
        assert _plain(latest) == _plain(theirs_latest)
