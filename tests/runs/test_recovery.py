"""When a worker crashes after any write group, the next attempt ends the run as if there had been no crash."""

from __future__ import annotations

import asyncio
import re
from collections import Counter
from collections.abc import Sequence
from typing import Any

import pytest

from slipway.graphs.registry import Registry
from slipway.runs.cancel_reasons import Action
from slipway.runs.events import Event
from slipway.runs.record import Phase, Run
from slipway.serialization.json_encoding import dumps
from tests.runs.conftest import Stores
from tests.runs.executions import DURABILITIES, crash_after, execute_next, execution_of
from tests.waiting import event_loop_iterations

STATE = ("value", "until", "size", "log", "answers")


def streamed_states(log: Sequence[Event]) -> list[str]:
    """The states in a log, in order, without the ids of interrupts, which differ between runs."""
    frames = [event.block.partition(b"id: ")[0].decode() for event in log if event.name == "values"]
    return [re.sub(r'"id":"[0-9a-f]{32}"', "", frame) for frame in frames]


async def checkpointed_states(stores: Stores, run: Run) -> list[str]:
    """The states in the checkpoints of a run, as JSON."""
    config: Any = {"configurable": {"thread_id": run.thread_id, "checkpoint_ns": ""}}
    states = []
    async for checkpoint in stores.checkpointer.alist(config):
        if checkpoint.metadata.get("run_id") == run.run_id and checkpoint.metadata.get("source") == "loop":
            values = checkpoint.checkpoint["channel_values"]
            states.append(dumps({name: values[name] for name in STATE if name in values}).decode())
    return states


Request = dict[str, Any]
ANSWER_EACH = object()
"""In a request: a map with one answer for each interrupt of the thread."""

PLAIN: dict[str, tuple[str, Request]] = {
    "plain": ("steps", {"input": {"value": 1, "log": ["given"]}}),
    "fan-out": ("fan", {"input": {"value": 1, "log": ["given"]}}),
    "loop": ("loop", {"input": {"value": 0, "until": 6, "log": ["given"]}}),
}

INTERRUPTED: Request = {"input": {"value": 1, "log": ["given"]}}
"""What graphs are called with until they interrupt."""

ANSWERS: dict[str, tuple[str, Request]] = {
    "resume": ("ask", {"command": {"resume": "yes"}, "input": None}),
    "resume with update": ("ask", {"command": {"resume": "yes", "update": {"log": ["updated"]}}, "input": None}),
    "update": ("ask", {"command": {"update": {"log": ["updated"]}}, "input": None}),
    "goto": ("ask", {"command": {"goto": "two", "update": {"log": ["updated"]}}, "input": None}),
    "no input": ("ask", {"input": None}),
    "other input": ("ask", {"input": {"value": 7, "log": ["again"]}}),
}


async def _outcome(stores: Stores, run: Run, thread_id: str) -> dict[str, Any]:
    thread = await stores.threads.get(thread_id)
    interrupts = [[item["value"] for item in items] for items in thread.interrupts.values()]
    return {"phase": run.phase, "values": thread.values, "status": thread.status, "interrupts": interrupts}


async def _prepare_thread(stores: Stores, graphs: Registry, graph_id: str, earlier: Sequence[Request]) -> str:
    """A thread with earlier runs, which have all interrupted."""
    thread_id = await stores.create_thread()
    for request in earlier:
        options = await _request(stores, thread_id, request)
        await stores.create_run(thread_id, graph_id=graph_id, options=options)
        assert (await execute_next(stores, graphs)).phase is Phase.WAITING_FOR_APPROVAL
    return thread_id


async def _request(stores: Stores, thread_id: str, request: Request) -> Request:
    """The request, in which `ANSWER_EACH` is replaced by answers to all interrupts of the thread."""
    if request.get("command", {}).get("resume") is not ANSWER_EACH:
        return request
    thread = await stores.threads.get(thread_id)
    ids = [item["id"] for items in thread.interrupts.values() for item in items]
    return request | {
        "command": {"resume": {interrupt_id: f"answer {number}" for number, interrupt_id in enumerate(ids)}}
    }


async def _check(
    stores: Stores, graphs: Registry, graph_id: str, request: Request, *, earlier: Sequence[Request] = ()
) -> None:
    """Compares a run without a crash with runs whose worker crashes after 0, 1, 2, ... write groups: they end in the
    same way, no interrupt is streamed twice, and no state that is in a checkpoint is streamed twice."""
    thread_id = await _prepare_thread(stores, graphs, graph_id, earlier)
    undisturbed = await stores.create_run(
        thread_id, graph_id=graph_id, options=await _request(stores, thread_id, request)
    )
    expected = await _outcome(stores, await execute_next(stores, graphs), thread_id)
    states = streamed_states(await stores.log_of(undisturbed))
    for groups in range(100):
        thread_id = await _prepare_thread(stores, graphs, graph_id, earlier)
        run = await stores.create_run(thread_id, graph_id=graph_id, options=await _request(stores, thread_id, request))
        if not await crash_after(stores, graphs, await stores.claim_one(), groups):
            return
        in_checkpoints = await checkpointed_states(stores, run)
        outcome = await _outcome(stores, await execute_next(stores, graphs), thread_id)
        assert outcome == expected, f"after {groups} groups"
        log = await stores.log_of(run)
        interrupts = [event.block.partition(b"id: ")[0] for event in log if b"__interrupt__" in event.block]
        assert len(interrupts) == len(set(interrupts)), f"an interrupt is streamed twice after {groups} groups"
        counts = Counter(streamed_states(log))
        assert set(counts) == set(states), f"after {groups} groups"
        for state in states:
            repeated = counts[state] > states.count(state)
            assert not (repeated and any(values in state for values in in_checkpoints)), f"after {groups} groups"
    raise AssertionError("the run sends more than 100 write groups")


@pytest.mark.parametrize("durability", DURABILITIES)
@pytest.mark.parametrize("kind", PLAIN)
async def test_a_crash_does_not_change_the_outcome_of_a_first_run(
    stores: Stores, graphs: Registry, kind: str, durability: str
) -> None:
    graph_id, request = PLAIN[kind]
    await _check(stores, graphs, graph_id, request | {"durability": durability})


@pytest.mark.parametrize("durability", DURABILITIES)
@pytest.mark.parametrize("kind", ANSWERS)
async def test_a_crash_does_not_change_the_outcome_of_a_continuing_run(
    stores: Stores, graphs: Registry, kind: str, durability: str
) -> None:
    graph_id, request = ANSWERS[kind]
    await _check(stores, graphs, graph_id, request | {"durability": durability}, earlier=[INTERRUPTED])


async def test_after_a_crash_an_answer_is_not_used_for_a_second_interrupt(stores: Stores, graphs: Registry) -> None:
    await _check(stores, graphs, "talk", {"command": {"resume": "a"}, "input": None}, earlier=[INTERRUPTED])


@pytest.mark.parametrize("durability", DURABILITIES)
@pytest.mark.parametrize("graph_id", ["ask", "talk", "inner_talk", "talks"])
async def test_after_a_crash_an_answer_is_used_only_for_the_interrupt_that_it_names(
    stores: Stores, graphs: Registry, graph_id: str, durability: str
) -> None:
    request = {"command": {"resume": ANSWER_EACH}, "input": None, "durability": durability}
    await _check(stores, graphs, graph_id, request, earlier=[INTERRUPTED])


@pytest.mark.parametrize("durability", DURABILITIES)
@pytest.mark.parametrize("answer", ["a", ANSWER_EACH], ids=["plain", "by interrupt"])
async def test_a_crash_does_not_lose_the_answer_to_a_second_interrupt_of_a_node(
    stores: Stores, graphs: Registry, answer: Any, durability: str
) -> None:
    """The command of the first answer is stored beside the same checkpoint."""
    request = {"command": {"resume": answer, "update": {"log": ["x"]}}, "input": None, "durability": durability}
    await _check(stores, graphs, "talk", request, earlier=[INTERRUPTED, request])


async def test_a_run_that_is_cancelled_between_two_attempts_executes_nothing(stores: Stores, graphs: Registry) -> None:
    run = await stores.create_run()
    assert await crash_after(stores, graphs, await stores.claim_one(), 0)
    effects: Any = graphs.load_object("./graphs.py:effects")
    before = dict(effects[run.thread_id])
    await stores.runs.cancel(run.thread_id, run.run_id, Action.INTERRUPT)
    assert (await execute_next(stores, graphs)).phase is Phase.CANCELLED
    assert dict(effects[run.thread_id]) == before


async def test_a_run_that_is_cancelled_while_an_attempt_loads_its_graph_leaves_its_state(
    stores: Stores, graphs: Registry
) -> None:
    run = await stores.create_run(options={"input": {"value": 1, "log": ["given"]}})
    assert await crash_after(stores, graphs, await stores.claim_one(), 1)
    execution = execution_of(stores, graphs, await stores.claim_one())
    executing = asyncio.create_task(execution.execute())
    await event_loop_iterations(1)  # it reads the newest checkpoint now
    execution.writer.request_cancel(Action.INTERRUPT)
    await executing
    newest = await stores.checkpointer.latest(run.thread_id)
    thread = await stores.threads.get(run.thread_id)
    assert newest is not None
    assert thread.values is not None
    assert thread.values["log"] == newest.checkpoint["channel_values"]["log"]
