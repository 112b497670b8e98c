"""A worker dies after each of its groups of writes: the next attempt goes on, and nothing happens twice.

The attempt that dies is a real one whose writes stop to arrive: from its k-th group on nothing reaches Redis.
"""

from __future__ import annotations

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
from tests.runs.executions import DURABILITIES, crash_after, execute_next

STATE = ("value", "until", "size", "log", "answers")


def shown(log: Sequence[Event]) -> list[str]:
    """The states that clients saw, in order; ids of interrupts are those of their checkpoints, which differ."""
    frames = [event.block.partition(b"id: ")[0].decode() for event in log if event.name == "values"]
    return [re.sub(r'"id":"[0-9a-f]{32}"', "", frame) for frame in frames]


async def kept(stores: Stores, run: Run) -> list[str]:
    """The values of the log's states that a checkpoint of the run holds, as JSON."""
    config: Any = {"configurable": {"thread_id": run.thread_id, "checkpoint_ns": ""}}
    found = []
    async for checkpoint in stores.checkpointer.alist(config):
        if checkpoint.metadata.get("run_id") == run.run_id and checkpoint.metadata.get("source") == "loop":
            values = checkpoint.checkpoint["channel_values"]
            found.append(dumps({name: values[name] for name in STATE if name in values}).decode())
    return found


Request = dict[str, Any]
EACH = object()

PLAIN: dict[str, tuple[str, Request]] = {
    "plain": ("steps", {"input": {"value": 1, "log": ["given"]}}),
    "fan-out": ("fan", {"input": {"value": 1, "log": ["given"]}}),
    "loop": ("loop", {"input": {"value": 0, "until": 6, "log": ["given"]}}),
}

ANSWERS: dict[str, tuple[str, Request]] = {
    "resume": ("ask", {"command": {"resume": "yes"}, "input": None}),
    "resume with update": ("ask", {"command": {"resume": "yes", "update": {"log": ["told"]}}, "input": None}),
    "update": ("ask", {"command": {"update": {"log": ["told"]}}, "input": None}),
    "goto": ("ask", {"command": {"goto": "two", "update": {"log": ["told"]}}, "input": None}),
    "no input": ("ask", {"input": None}),
    "other input": ("ask", {"input": {"value": 7, "log": ["again"]}}),
}


async def _outcome(stores: Stores, run: Run, thread_id: str) -> dict[str, Any]:
    thread = await stores.threads.get(thread_id)
    interrupts = [[item["value"] for item in items] for items in thread.interrupts.values()]
    return {"phase": run.phase, "values": thread.values, "status": thread.status, "interrupts": interrupts}


async def _prepared(stores: Stores, graphs: Registry, graph_id: str, asked: bool) -> str:
    thread_id = await stores.create_thread()
    if asked:
        await stores.create_run(thread_id, graph_id=graph_id, options={"input": {"value": 1, "log": ["given"]}})
        assert (await execute_next(stores, graphs)).phase is Phase.WAITING_FOR_APPROVAL
    return thread_id


async def _request(stores: Stores, thread_id: str, request: Request) -> Request:
    """The request, with `EACH` replaced by answers that name the thread's interrupts."""
    if request.get("command", {}).get("resume") is not EACH:
        return request
    thread = await stores.threads.get(thread_id)
    ids = [item["id"] for items in thread.interrupts.values() for item in items]
    return request | {"command": {"resume": {ident: f"answer {number}" for number, ident in enumerate(ids)}}}


async def _check(stores: Stores, graphs: Registry, graph_id: str, request: Request, *, asked: bool) -> None:
    """Whatever group was the last to land: the same end as without a death."""
    thread_id = await _prepared(stores, graphs, graph_id, asked)
    calm = await stores.create_run(thread_id, graph_id=graph_id, options=await _request(stores, thread_id, request))
    expected = await _outcome(stores, await execute_next(stores, graphs), thread_id)
    states = shown(await stores.log_of(calm))
    for groups in range(100):
        thread_id = await _prepared(stores, graphs, graph_id, asked)
        made = await stores.create_run(thread_id, graph_id=graph_id, options=await _request(stores, thread_id, request))
        if not await crash_after(stores, graphs, await stores.claim_one(), groups):
            return
        was_kept = await kept(stores, made)
        came = await _outcome(stores, await execute_next(stores, graphs), thread_id)
        assert came == expected, f"after {groups} groups"
        log = await stores.log_of(made)
        questions = [event.block.partition(b"id: ")[0] for event in log if b"__interrupt__" in event.block]
        assert len(questions) == len(set(questions)), f"asked twice after {groups} groups"
        seen = Counter(shown(log))
        assert set(seen) == set(states), f"after {groups} groups"
        for state in states:
            twice = seen[state] > states.count(state)
            assert not (twice and any(one in state for one in was_kept)), f"after {groups} groups"
    raise AssertionError("never ended")


@pytest.mark.parametrize("durability", DURABILITIES)
@pytest.mark.parametrize("kind", PLAIN)
async def test_a_death_changes_nothing_of_a_fresh_run(
    stores: Stores, graphs: Registry, kind: str, durability: str
) -> None:
    graph_id, request = PLAIN[kind]
    await _check(stores, graphs, graph_id, request | {"durability": durability}, asked=False)


@pytest.mark.parametrize("durability", DURABILITIES)
@pytest.mark.parametrize("kind", ANSWERS)
async def test_a_death_changes_nothing_of_a_run_that_goes_on(
    stores: Stores, graphs: Registry, kind: str, durability: str
) -> None:
    graph_id, request = ANSWERS[kind]
    await _check(stores, graphs, graph_id, request | {"durability": durability}, asked=True)


async def test_a_death_does_not_answer_a_second_question_with_the_first_answer(
    stores: Stores, graphs: Registry
) -> None:
    await _check(stores, graphs, "talk", {"command": {"resume": "a"}, "input": None}, asked=True)


@pytest.mark.parametrize("durability", DURABILITIES)
@pytest.mark.parametrize("graph_id", ["ask", "talk", "inner_talk", "talks"])
async def test_a_death_does_not_answer_a_later_question_with_an_answer_that_named_an_earlier_one(
    stores: Stores, graphs: Registry, graph_id: str, durability: str
) -> None:
    request = {"command": {"resume": EACH}, "input": None, "durability": durability}
    await _check(stores, graphs, graph_id, request, asked=True)


async def test_a_run_that_is_cancelled_between_two_attempts_executes_nothing(stores: Stores, graphs: Registry) -> None:
    run = await stores.create_run()
    assert await crash_after(stores, graphs, await stores.claim_one(), 0)
    effects: Any = graphs.attribute("./graphs.py:effects")
    before = dict(effects[run.thread_id])
    await stores.runs.cancel(run.thread_id, run.run_id, Action.INTERRUPT)
    assert (await execute_next(stores, graphs)).phase is Phase.CANCELLED
    assert dict(effects[run.thread_id]) == before
