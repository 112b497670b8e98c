"""Large values of a run are encoded in slices only while no code of the graph can change them."""

from __future__ import annotations

import secrets

import pytest

from slipway.graphs.registry import Registry
from slipway.runs.record import Phase
from slipway.runs.scripts import LogScripts
from slipway.serialization import turns
from slipway.sse_frames import encode_frame
from tests.runs.conftest import Stores
from tests.runs.executions import execute_next
from tests.runs.project.large import ITEMS
from tests.waiting import event_loop_iterations

START = "~__pregel_pull, __start__"
PULL, PUSH = "~__pregel_pull, fill", "~__pregel_push, 0"


@pytest.mark.parametrize("durability", ["async", "sync"])
async def test_a_large_state_is_encoded_before_the_next_node_can_change_it(
    stores: Stores, graphs: Registry, monkeypatch: pytest.MonkeyPatch, durability: str
) -> None:
    monkeypatch.setattr(turns, "LONGEST_TURN_S", -1.0)
    options = {"input": {"done": False}, "stream_mode": ["values", "updates"], "durability": durability}
    run = await stores.create_run(graph_id="changes_in_place", options=options)
    assert (await execute_next(stores, graphs)).phase is Phase.COMPLETED
    states = [state async for state in stores.checkpointer.alist({"configurable": {"thread_id": run.thread_id}})]
    (filled,) = [state for state in states if state.metadata["step"] == 1]
    assert _texts(filled.checkpoint["channel_values"]["items"]) == {"unchanged"}
    (writes,) = [state.pending_writes for state in states if state.metadata["step"] == 0]
    assert _texts(dict(write[1:] for write in writes or [])["items"]) == {"unchanged"}
    state_event = [event.data for event in await stores.log_of(run) if event.name == "values"][1]
    assert b"unchanged" in state_event
    assert b'"changed"' not in state_event


@pytest.mark.parametrize("durability", ["async", "sync", "exit"])
async def test_large_input_is_encoded_before_the_first_node_can_change_it(
    stores: Stores, graphs: Registry, monkeypatch: pytest.MonkeyPatch, durability: str
) -> None:
    monkeypatch.setattr(turns, "LONGEST_TURN_S", -1.0)
    graph_input = {"items": [{"text": "unchanged " * 10} for _ in range(ITEMS)]}
    options = {"input": graph_input, "stream_mode": ["values"], "durability": durability}
    run = await stores.create_run(graph_id="changes_input", options=options)
    assert (await execute_next(stores, graphs)).phase is Phase.COMPLETED
    states = [state async for state in stores.checkpointer.alist({"configurable": {"thread_id": run.thread_id}})]
    if durability != "exit":
        (given,) = [state for state in states if state.metadata["step"] == -1]
        writes = [value for _, channel, value in given.pending_writes or [] if channel == "items"]
        assert [_texts(items) for items in writes] == [{"unchanged"}]
    assert b"unchanged" in next(event.data for event in await stores.log_of(run) if event.name == "values")


def _texts(items: list[dict[str, str]]) -> set[str]:
    return {item["text"].split()[0] for item in items}


async def test_values_are_divided_only_while_no_task_runs(stores: Stores) -> None:
    await stores.create_run()
    writer = stores.attempt(await stores.claim_one())
    assert writer.may_divide("", None)
    assert not writer.may_divide("inner:1", None)
    for path in ("", START):
        assert writer.may_divide("", path)
        writer.write_behind = False
        assert not writer.may_divide("", path)
        writer.write_behind = True
    writer.superstep_started()
    writer.task_started()
    assert [writer.may_divide("", path) for path in (PULL, PUSH, "")] == [True, False, False]
    writer.task_started()
    assert not writer.may_divide("", PULL)
    writer.superstep_started()
    writer.task_started()
    assert writer.may_divide("", PULL)
    writer.nodes_wait = False
    assert [writer.may_divide("", path) for path in (None, PULL)] == [False, False]


async def test_the_writes_of_an_attempt_keep_their_order_while_one_is_encoded(stores: Stores) -> None:
    """What follows waits, and nothing is sent before it."""
    await stores.create_run()
    writer = stores.attempt(await stores.claim_one())
    async with writer.encoding:
        writer.append("values", b"event: values\r\ndata: {}\r\n")
        await event_loop_iterations(20)
        assert writer.groups_sent == 0
    await writer.flush()
    assert writer.groups_sent == 1


async def test_a_page_of_large_events_is_bounded_in_bytes(stores: Stores) -> None:
    """A follower that comes late receives every event all the same."""
    run = await stores.create_run()
    for number in range(40):
        frame = encode_frame("values", b'"%b"' % secrets.token_hex(60_000).encode())
        await stores.pipeline.send(
            "XADD", stores.keys.events(run.run_id), f"9999999999999-{number}", "n", "values", "f", frame
        )
    page = await LogScripts(stores.pipeline, stores.keys).page(run.run_id, "-", 500)
    assert not page.is_last
    assert 1 < len(page.entries) < 25
    await stores.pipeline.send(
        "XADD", stores.keys.events(run.run_id), "9999999999999-99", "n", "end", "f", encode_frame("end", b"{}")
    )
    followed = [event.name async for batch in stores.events.follow(run.run_id) for event in batch]
    assert followed == ["metadata", *["values"] * 40, "end"]
