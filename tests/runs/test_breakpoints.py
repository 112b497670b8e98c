"""A run waits at a breakpoint only if the graph has a next task."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from slipway.graphs.registry import Registry
from slipway.runs.cancel_reasons import Action
from slipway.runs.record import Phase
from tests.runs.conftest import Stores
from tests.runs.executions import DURABILITIES, execute_next, execution_of
from tests.waiting import Eventually

AFTER_THE_LAST_NODE: dict[str, tuple[str, dict[str, Any]]] = {
    "named by the request": ("steps", {"interrupt_after": ["three"]}),
    "all nodes": ("gateless", {"interrupt_after": "*"}),
    "compiled in": ("stops_at_end", {}),
}
WITH_A_NEXT_TASK: dict[str, tuple[str, dict[str, Any]]] = {
    "after": ("steps", {"interrupt_after": ["two"]}),
    "before": ("steps", {"interrupt_before": ["three"]}),
    "in a subgraph": ("inner_stop", {}),
}


@pytest.mark.parametrize("durability", DURABILITIES)
@pytest.mark.parametrize("case", AFTER_THE_LAST_NODE)
async def test_a_breakpoint_after_the_last_node_completes_the_run(
    stores: Stores, graphs: Registry, case: str, durability: str
) -> None:
    graph_id, kwargs = AFTER_THE_LAST_NODE[case]
    await stores.create_run(graph_id=graph_id, options=kwargs | {"durability": durability})
    run = await execute_next(stores, graphs)
    thread = await stores.thread_of(run)
    assert (run.phase, run.status, thread.status) == (Phase.COMPLETED, "success", "idle")
    assert thread.values is not None
    assert thread.values["log"][-1] in ("three", "only")
    assert b'"phase"' not in (await stores.log_of(run))[-1].block


@pytest.mark.parametrize("durability", DURABILITIES)
@pytest.mark.parametrize("case", WITH_A_NEXT_TASK)
async def test_a_run_waits_at_a_breakpoint_before_a_next_task(
    stores: Stores, graphs: Registry, case: str, durability: str
) -> None:
    graph_id, kwargs = WITH_A_NEXT_TASK[case]
    thread_id = await stores.create_thread()
    await stores.create_run(thread_id, graph_id=graph_id, options=kwargs | {"durability": durability})
    run = await execute_next(stores, graphs)
    assert (run.phase, (await stores.thread_of(run)).status) == (Phase.WAITING_FOR_APPROVAL, "interrupted")
    await stores.create_run(thread_id, graph_id=graph_id, options={"input": None, "durability": durability})
    run = await execute_next(stores, graphs)
    assert (run.phase, (await stores.thread_of(run)).status) == (Phase.COMPLETED, "idle")


async def test_a_thread_whose_run_was_cancelled_within_a_node_can_continue_with_this_node(
    stores: Stores, graphs: Registry, eventually: Eventually
) -> None:
    effects: Any = graphs.load_object("./graphs.py:effects")
    run = await stores.create_run(graph_id="gate")
    executing = execution_of(stores, graphs, await stores.claim_one())
    working = asyncio.create_task(executing.execute())
    await eventually(lambda: executing.usage.node_visits["gate"])
    executing.writer.request_cancel(Action.INTERRUPT)
    await working
    thread = await stores.thread_of(run)
    assert (await stores.phase_of(run), thread.status, thread.interrupts) == (Phase.CANCELLED, "interrupted", {})
    assert effects[run.thread_id] == {"one": 1}
