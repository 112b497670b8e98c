"""Checkpoints of a thread that hosts with different clocks continue."""

from __future__ import annotations

import time
from types import SimpleNamespace
from typing import Any, TypedDict

import pytest
from langgraph.graph import START, StateGraph
from langgraph.graph.state import CompiledStateGraph

from slipway.checkpoints.base_checkpointer import BaseCheckpointer
from tests.checkpoints.conftest import CheckpointerFactory, config_of, listed_ids

AHEAD_NS = 300 * 1_000_000_000
LANGGRAPH_IDS = "langgraph.checkpoint.base.id"


class State(TypedDict):
    count: int


def counting(saver: BaseCheckpointer) -> CompiledStateGraph[Any]:
    graph = StateGraph(State).add_node("count", lambda state: {"count": state["count"] + 1})
    return graph.add_edge(START, "count").compile(saver)


def be_on_host(monkeypatch: pytest.MonkeyPatch, ahead_ns: int) -> None:
    """From now on, LangGraph makes ids as in a new process on a host with this clock."""
    clock = SimpleNamespace(time_ns=lambda: time.time_ns() + ahead_ns)
    monkeypatch.setattr(f"{LANGGRAPH_IDS}.time", clock)
    monkeypatch.setattr(f"{LANGGRAPH_IDS}._last_v6_timestamp", None)


async def test_what_a_host_with_a_slow_clock_writes_is_the_newest(
    make_checkpointer: CheckpointerFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = config_of("t")
    be_on_host(monkeypatch, AHEAD_NS)
    assert await counting(make_checkpointer()).ainvoke({"count": 0}, config) == {"count": 1}
    be_on_host(monkeypatch, -AHEAD_NS)
    slow = make_checkpointer()
    before = await listed_ids(slow, config)
    assert await counting(slow).ainvoke({"count": 10}, config) == {"count": 11}
    be_on_host(monkeypatch, 0)
    other = make_checkpointer()
    assert (await counting(other).aget_state(config)).values == {"count": 11}
    assert (await listed_ids(other, config))[-len(before) :] == before


async def test_a_fork_of_an_old_checkpoint_is_newer_than_the_newest(
    make_checkpointer: CheckpointerFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = config_of("t")
    be_on_host(monkeypatch, 0)
    first = await counting(make_checkpointer()).ainvoke({"count": 0}, config)
    old = await listed_ids(make_checkpointer(), config, limit=1)
    be_on_host(monkeypatch, AHEAD_NS)
    await counting(make_checkpointer()).ainvoke({"count": 5}, config)
    be_on_host(monkeypatch, -AHEAD_NS)
    forked = make_checkpointer()
    assert await counting(forked).aupdate_state(config_of("t", old[0]), {"count": 40}, "count")
    assert first == {"count": 1}
    assert (await counting(make_checkpointer()).aget_state(config)).values == {"count": 40}


async def test_ids_that_langgraph_has_not_made_change_nothing(
    make_checkpointer: CheckpointerFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    be_on_host(monkeypatch, 0)
    saver = make_checkpointer()
    for checkpoint_id in ("text", "ffffffff-ffff-4fff-bfff-ffffffffffff"):
        assert await saver.aget_tuple(config_of("t", checkpoint_id)) is None
    assert await counting(saver).ainvoke({"count": 0}, config_of("t")) == {"count": 1}
