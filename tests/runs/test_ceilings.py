"""A ceiling fails the run with its code, its checkpoints remain, and usage is counted over the whole chain."""

from __future__ import annotations

import asyncio
import re
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import pytest
from orjson import loads

from slipway.accounting.counting import Ceilings
from slipway.accounting.limits import NAMES, Limits, ceilings_of, limits_from, parse_limits, stored_limits
from slipway.accounting.usage import Usage, public_usage
from slipway.errors import CeilingHit, InvalidRequest
from slipway.execution.ceiling_guard import CeilingGuard
from slipway.graphs.registry import Registry
from slipway.runs.record import Phase, Run
from slipway.serialization.json_encoding import dumps
from slipway.settings import Settings
from tests.redis.lua_names import LIBRARIES
from tests.runs.conftest import Stores, ceilings
from tests.runs.executions import DURABILITIES, UNLIMITED, crash_after, execute_next, execution_of
from tests.waiting import event_loop_iterations


async def run_to_end(stores: Stores, graphs: Registry, graph_id: str, value: dict[str, Any], **limits: float) -> Run:
    """Executes a run of a graph with these ceilings, and returns its stored record."""
    await stores.create_run(graph_id=graph_id, options={"input": value}, ceilings=limits)
    return await execute_next(stores, graphs)


def _effects(graphs: Registry, run: Run) -> dict[str, int]:
    """Node of the run to how often it did its work."""
    effects: Any = graphs.load_object("./graphs.py:effects")
    return dict(effects[run.thread_id])


async def _checkpoint_count(stores: Stores, run: Run) -> int:
    checkpoints = stores.checkpointer.alist({"configurable": {"thread_id": run.thread_id, "checkpoint_ns": ""}})
    return len([checkpoint async for checkpoint in checkpoints])


@pytest.mark.parametrize(
    ("graph_id", "value", "limits", "code"),
    [
        ("loop", {"value": 0}, {"max_steps": 7}, "ceiling.steps"),
        ("loop", {"value": 0}, {"max_node_visits": 5}, "ceiling.node_visits"),
        ("loop", {"value": 0, "size": 2000}, {"max_event_bytes": 20_000}, "ceiling.event_bytes"),
        ("loop", {"value": 0}, {"max_active_s": 0.2, "max_steps": 500, "max_node_visits": 200}, None),
        ("flaky", {"value": 0}, {"max_retries": 3}, "ceiling.retries"),
        ("gate", {"value": 0}, {"max_active_s": 0.3}, "ceiling.time"),
        ("gate", {"value": 0}, {"max_step_s": 0.3}, "ceiling.step_time"),
        ("block", {"value": 1000}, {"max_step_s": 0.2}, "ceiling.step_time"),
        ("spin", {"value": 500}, {"max_step_s": 0.2}, "ceiling.step_time"),
    ],
)
async def test_a_ceiling_fails_the_run_and_its_checkpoints_remain(
    stores: Stores, graphs: Registry, graph_id: str, value: dict[str, Any], limits: dict[str, float], code: str | None
) -> None:
    run = await run_to_end(stores, graphs, graph_id, value, **limits)
    assert run.phase is Phase.FAILED
    assert run.error is not None
    assert run.error["code"] in ([code] if code else ["ceiling.time", "ceiling.node_visits"])
    assert run.status == ("timeout" if run.error["code"] in ("ceiling.time", "ceiling.step_time") else "error")
    assert {"limit", "used"} <= set(run.error)
    assert await _checkpoint_count(stores, run) >= 2
    assert (await stores.event_names(run))[-2:] == ["error", "end"]
    thread = await stores.thread_of(run)
    assert thread.status == "error"
    assert thread.values is not None


async def test_checkpoints_below_max_state_bytes_remain(stores: Stores, graphs: Registry) -> None:
    run = await run_to_end(stores, graphs, "loop", {"value": 0, "size": 1000}, max_state_bytes=20_000)
    assert run.error is not None
    assert run.error["code"] == "ceiling.state_bytes"
    assert await _checkpoint_count(stores, run) >= 2


async def test_the_last_try_of_a_node_does_not_count_as_a_retry(stores: Stores, graphs: Registry) -> None:
    """The retry policy of the node allows 20 tries, which are 19 retries."""
    run = await run_to_end(stores, graphs, "flaky", {"value": 0}, max_retries=19)
    assert run.error is not None
    assert (run.error["code"], run.usage["retries"]) == ("node.failed", 19)


async def test_max_steps_is_the_exact_number_of_supersteps(stores: Stores, graphs: Registry) -> None:
    run = await run_to_end(stores, graphs, "loop", {"value": 0}, max_steps=7)
    thread = await stores.thread_of(run)
    assert thread.values is not None
    assert (thread.values["value"], run.usage["steps"], run.usage["node_visits"]) == (7, 7, {"turn": 7})


async def test_max_node_visits_is_the_exact_number_of_visits(stores: Stores, graphs: Registry) -> None:
    run = await run_to_end(stores, graphs, "loop", {"value": 0}, max_node_visits=5)
    assert run.error is not None
    assert (run.error["used"], run.usage["node_visits"]) == (5, {"turn": 5})
    assert _effects(graphs, run) == {"turn": 5}


async def test_max_retries_is_the_exact_number_of_retries(stores: Stores, graphs: Registry) -> None:
    run = await run_to_end(stores, graphs, "flaky", {"value": 0}, max_retries=3)
    assert run.error is not None
    assert (run.error["used"], run.usage["retries"]) == (3, 3)
    assert _effects(graphs, run) == {"one": 1, "fail": 4}


async def test_retries_in_a_subgraph_are_counted(stores: Stores, graphs: Registry) -> None:
    run = await run_to_end(stores, graphs, "inner_flaky", {"value": 0}, max_retries=3)
    assert run.error is not None
    assert (run.error["code"], run.usage["retries"]) == ("ceiling.retries", 3)
    assert _effects(graphs, run) == {"fail": 4}


def test_max_event_bytes_limits_the_sum_of_all_events() -> None:
    ceilings = Ceilings({"max_event_bytes": 10}, Usage())
    ceilings.count_event(4)
    ceilings.count_event(6)
    with pytest.raises(CeilingHit) as caught:
        ceilings.count_event(1)
    assert (caught.value.full_code, caught.value.used) == ("ceiling.event_bytes", 11)


async def test_max_step_s_is_measured_for_each_superstep(stores: Stores) -> None:
    late: list[str] = []
    guard = CeilingGuard(Ceilings(ceilings(max_step_s=0.1), Usage()), lambda: late.append("late"))
    for task_id in ("first", "second"):  # without an await, so no timer can expire in between
        task = {"name": "turn", "id": task_id, "triggers": ("branch:to:turn",), "input": None}
        guard.task_started(task)
        guard.task_ended(task)
        guard.superstep_ended()
    guard.stop()
    await asyncio.sleep(0.11)  # timers expire in order: a step timer that still runs expires before this one
    assert (late, guard.ceiling_hit) == ([], None)


@pytest.mark.parametrize("warned", [False, True])
@pytest.mark.parametrize(
    ("graph_id", "value", "limits"),
    [
        ("loop", {"value": 0, "size": 1000}, {"max_state_bytes": 20_000}),
        ("gate", {"value": 0}, {"max_step_s": 0.3}),
    ],
)
async def test_a_chain_is_warned_once_of_bytes_and_of_the_seconds_of_a_superstep(
    stores: Stores, graphs: Registry, graph_id: str, value: dict[str, Any], limits: dict[str, float], warned: bool
) -> None:
    ((name, limit),) = limits.items()
    await stores.create_run(graph_id=graph_id, options={"input": value}, ceilings=limits)
    earlier = {"warned": [name.removeprefix("max_")]} if warned else {}
    run = replace(await stores.claim_one(), usage=earlier)
    await execution_of(stores, graphs, run).execute()
    run = await stores.reload(run)
    notices = [loads(event.data) for event in await stores.log_of(run) if event.name == "notice"]
    assert run.error is not None
    assert run.usage["warned"] == [name.removeprefix("max_")]
    assert [(each["warning"], each["code"], each["limit"]) for each in notices] == (
        [] if warned else [(True, run.error["code"], limit)]
    )
    assert all(0.8 * limit <= each["used"] <= limit for each in notices)


class MovedClock:
    """The event loop and the clock of a guard, in a test that moves the time."""

    def __init__(self) -> None:
        self.now, self._timers = 0.0, list[tuple[float, Callable[[], None]]]()

    def time(self) -> float:
        return self.now

    monotonic = time

    def get_running_loop(self) -> MovedClock:
        return self

    def call_at(self, when: float, callback: Callable[[], None]) -> object:
        self._timers.append((when, callback))
        return self

    def move(self, now: float) -> None:
        self.now = now
        due, self._timers = self._timers, []
        for timer in due:
            if timer[0] <= now:
                timer[1]()
            else:
                self._timers.append(timer)


def test_the_seconds_of_each_superstep_are_warned_of_once_and_then_limited(monkeypatch: pytest.MonkeyPatch) -> None:
    clock, late, warned = MovedClock(), list[str](), list[float]()
    for module in ("asyncio", "time"):
        monkeypatch.setattr(f"slipway.execution.ceiling_guard.{module}", clock)
    guard = CeilingGuard(Ceilings(ceilings(max_step_s=100), Usage()), lambda: late.append("late"), warned.append)

    def begin(task_id: str) -> dict[str, Any]:
        task = {"name": "turn", "id": task_id, "triggers": ("branch:to:turn",), "input": None}
        guard.task_started(task)
        return task

    for _ in range(5):  # one timer for all of them
        task = begin("short")
        clock.move(clock.now + 70)
        guard.task_ended(task)
    assert (late, warned) == ([], [])
    task = begin("blocks the event loop")
    clock.now += 90
    guard.task_ended(task)
    assert (late, warned) == ([], [90])
    clock.move(clock.now)
    begin("too long")
    clock.move(clock.now + 99)
    assert (late, warned) == ([], [90])
    clock.move(clock.now + 1)
    assert (late, warned) == (["late"], [90])


@pytest.mark.parametrize(
    ("graph_id", "used", "code"),
    [
        ("loop", {"steps": 500}, "ceiling.steps"),
        ("loop", {"node_visits": {"turn": 500}}, "ceiling.node_visits"),
        ("flaky", {"retries": 20}, "ceiling.retries"),
        ("block", {"active_s": 3600.0}, "ceiling.time"),
        ("steps", {"event_bytes": 64 * 2**20}, "ceiling.event_bytes"),
    ],
)
async def test_the_usage_of_earlier_attempts_and_runs_is_counted(
    stores: Stores, graphs: Registry, graph_id: str, used: dict[str, Any], code: str
) -> None:
    """An attempt starts with the stored usage of its run; so does the run that answers it."""
    kwargs = {"input": {"value": 300}, "config": {"recursion_limit": 500}}
    await stores.create_run(graph_id=graph_id, options=kwargs)
    claimed = replace(await stores.claim_one(), usage=used)
    await execution_of(stores, graphs, claimed).execute()
    run = await stores.reload(claimed)
    assert run.error is not None
    assert run.error["code"] == code
    assert run.error["used"] >= run.error["limit"]


async def test_an_answering_run_continues_the_count_of_its_chain(stores: Stores, graphs: Registry) -> None:
    """Each run of the chain fails twice before its interrupt. The third and last retry is in the second run."""
    thread_id, limits = await stores.create_thread(), {"max_retries": 3}
    await stores.create_run(thread_id, graph_id="stumbles", ceilings=limits)
    first = await execute_next(stores, graphs)
    assert (first.phase, first.usage["retries"]) == (Phase.WAITING_FOR_APPROVAL, 2)
    await stores.create_run(thread_id, graph_id="stumbles", options={"command": {"resume": 1}}, ceilings=limits)
    second = await execute_next(stores, graphs)
    assert second.error is not None
    assert (second.error["code"], second.usage["retries"]) == ("ceiling.retries", 3)
    assert second.usage["event_bytes"] > first.usage["event_bytes"] > 0


@pytest.mark.parametrize("warned", [[], ["step_s"]])
def test_all_members_of_the_usage_are_stored(warned: list[str]) -> None:
    usage = Usage(3, 2, 1.5, 700, Counter(turn=2), {"turn": "0a1b2c3d"}, warned)
    assert public_usage(usage.stored().encode()) == usage.public()
    assert Usage.from_public(usage.public()) == usage
    assert len(usage.stored()) <= 64  # a longer field makes Redis store the record in more bytes


def test_the_usage_in_a_record_of_an_earlier_release_is_read() -> None:
    task_id = "0a1b2c3d-0000-0000-0000-000000000000"
    earlier = {"steps": 3, "retries": 2, "active_s": 1.5, "event_bytes": 700, "node_visits": {"turn": 2}}
    usage = Usage.from_public(public_usage(dumps(earlier | {"superstep": {"turn": task_id}})))
    assert usage == Usage(3, 2, 1.5, 700, Counter(turn=2), {"turn": "0a1b2c3d"})
    counts = Ceilings(ceilings(), usage)
    counts.count_superstep("turn", task_id)
    counts.count_visit("turn", task_id)
    assert (usage.steps, usage.node_visits) == (3, Counter(turn=2))


def test_the_default_ceilings_are_stored_in_a_short_text() -> None:
    text = stored_limits(ceilings_of(Settings(max_state_bytes=2**26), {}, {}))
    assert text == "500,500,5,20,3600,600,67108864,67108864,100"


@pytest.mark.parametrize(
    "limits", [{}, {"max_attempts": 3.0}, dict.fromkeys(NAMES, 1 / 3), {"max_steps": 0.0, "max_event_bytes": 1e300}]
)
def test_stored_ceilings_are_exact(limits: Limits) -> None:
    assert limits_from(stored_limits(limits).encode()) == limits_from(dumps(limits)) == limits


def test_scripts_read_the_ceilings_in_the_same_order() -> None:
    (listed,) = re.findall(r"CEILING_NAMES = \{(.*?)\}", LIBRARIES["ceilings"], re.DOTALL)
    assert tuple(re.findall(r"'(\w+)'", listed)) == NAMES


async def test_an_answer_does_not_reset_the_usage(stores: Stores, graphs: Registry) -> None:
    thread_id = await stores.create_thread()
    await stores.create_run(thread_id, graph_id="ask", ceilings={"max_steps": 2})
    assert (await execute_next(stores, graphs)).usage["steps"] == 2
    await stores.create_run(thread_id, graph_id="ask", options={"command": {"resume": 1}}, ceilings={"max_steps": 2})
    run = await execute_next(stores, graphs)
    assert run.usage["steps"] == 2
    assert run.error is not None
    assert run.error["code"] == "ceiling.steps"


async def test_a_crash_does_not_reset_the_usage(stores: Stores, graphs: Registry) -> None:
    await stores.create_run(graph_id="loop", options={"input": {"value": 0}}, ceilings={"max_steps": 10})
    assert await crash_after(stores, graphs, await stores.claim_one(), 6)
    before = (await stores.runs.find((await stores.claim_one()).run_id)).usage["steps"]
    assert before >= 3
    await stores.reap()
    run = await execute_next(stores, graphs)
    assert run.usage["steps"] == 10
    thread = await stores.thread_of(run)
    assert thread.values is not None
    assert thread.values["value"] == 10


async def test_a_release_does_not_reset_the_usage(stores: Stores, graphs: Registry) -> None:
    await stores.create_run(graph_id="loop", options={"input": {"value": 0}}, ceilings={"max_steps": 30})
    for _ in range(5):
        executing = execution_of(stores, graphs, await stores.claim_one())
        working = asyncio.create_task(executing.execute())
        steps = executing.usage.steps
        while executing.usage.steps < steps + 3:  # `wait_until` polls too seldom: the run would end first
            await event_loop_iterations(1)
        executing.drain()
        await working
    run = await execute_next(stores, graphs)
    thread = await stores.thread_of(run)
    assert thread.values is not None
    assert (run.usage["steps"], run.uncounted_attempts) == (30, 5)
    assert thread.values["value"] == 30
    assert run.error is not None
    assert run.error["code"] == "ceiling.steps"


@pytest.mark.parametrize("graph_id", ["wide", "calls_at_once", "calls_in_turn"])
async def test_parallel_tasks_of_a_node_are_one_superstep_and_one_visit(
    stores: Stores, graphs: Registry, graph_id: str
) -> None:
    run = await run_to_end(stores, graphs, graph_id, {"value": 250}, max_steps=3, max_node_visits=1)
    assert (run.phase, run.error) == (Phase.COMPLETED, None)
    node = "branch" if graph_id == "wide" else "square"
    assert run.usage["node_visits"][node] == 1
    assert run.usage["steps"] == (3 if graph_id == "wide" else 1)


async def test_a_node_that_calls_tasks_with_its_own_name_is_visited_once(stores: Stores, graphs: Registry) -> None:
    run = await run_to_end(stores, graphs, "namesake", {"value": 9}, max_steps=2)
    assert (run.phase, run.usage["steps"], run.usage["node_visits"]) == (Phase.COMPLETED, 2, {"square": 1, "end": 1})


@pytest.mark.parametrize(("ceiling", "code"), [("max_steps", "steps"), ("max_node_visits", "node_visits")])
async def test_a_node_with_an_answered_interrupt_is_one_visit(
    stores: Stores, graphs: Registry, ceiling: str, code: str
) -> None:
    """Five visits are five interrupts and their answers. The sixth visit fails the run before the node executes."""
    thread_id, limit = await stores.create_thread(), {ceiling: 5}
    await stores.create_run(thread_id, graph_id="chat", ceilings=limit)
    for answered in range(5):
        run = await execute_next(stores, graphs)
        assert (run.phase, run.usage["node_visits"]) == (Phase.WAITING_FOR_APPROVAL, {"turn": answered + 1})
        await stores.create_run(thread_id, graph_id="chat", options={"command": {"resume": answered}}, ceilings=limit)
    run = await execute_next(stores, graphs)
    assert run.error is not None
    assert (run.error["code"], run.error["used"]) == (f"ceiling.{code}", 5)
    values = (await stores.thread_of(run)).values
    assert values is not None
    assert values["answers"] == [0, 1, 2, 3, 4]


RunUsage = tuple[Phase, int, Mapping[str, int]]
"""Phase, supersteps, and visits by node."""


async def _usage_of_chain(
    stores: Stores, graphs: Registry, graph_id: str, durability: str, groups: int
) -> list[RunUsage]:
    """The final usage of a run and of the run that answers it, when the first worker of each crashes after `groups`
    write groups."""
    thread_id, usages = await stores.create_thread(), list[RunUsage]()
    kwargs: dict[str, Any] = {"input": {"value": 3}}
    for _ in range(2):
        created = await stores.create_run(thread_id, graph_id=graph_id, options=kwargs | {"durability": durability})
        if await crash_after(stores, graphs, await stores.claim_one(), groups):
            await execute_next(stores, graphs)
        run = await stores.reload(created)
        usages.append((run.phase, run.usage["steps"], run.usage["node_visits"]))
        if run.phase is not Phase.WAITING_FOR_APPROVAL:
            break
        kwargs = {"command": {"resume": "yes"}, "input": None}
    return usages


@pytest.mark.parametrize("graph_id", ["fan", "ask", "chat", "calls_in_turn"])
@pytest.mark.parametrize("durability", DURABILITIES)
async def test_work_that_is_repeated_after_a_crash_is_counted_once(
    stores: Stores, graphs: Registry, graph_id: str, durability: str
) -> None:
    """A crash after any write group gives the same usage as no crash, also after the answer."""
    expected = await _usage_of_chain(stores, graphs, graph_id, durability, UNLIMITED)
    for groups in range(8):
        usages = await _usage_of_chain(stores, graphs, graph_id, durability, groups)
        assert [phase for phase, _, _ in usages] == [phase for phase, _, _ in expected]
        for (_, expected_steps, expected_visits), (_, steps, visits) in zip(expected, usages, strict=True):
            if durability == "exit":  # a crash between the end of the graph and its only checkpoint may lose counts
                assert steps <= expected_steps, f"after {groups} groups"
                assert visits.items() <= expected_visits.items(), f"after {groups} groups"
            else:
                assert (steps, visits) == (expected_steps, expected_visits), f"after {groups} groups"


async def test_a_recursion_limit_above_max_steps_is_lowered_with_a_notice_event(
    stores: Stores, graphs: Registry
) -> None:
    kwargs = {"input": {"value": 0}, "config": {"recursion_limit": 1000}}
    await stores.create_run(graph_id="loop", options=kwargs, ceilings={"max_steps": 5})
    run = await execute_next(stores, graphs)
    assert run.error is not None
    assert run.error["code"] == "ceiling.steps"
    notices = [event.block for event in await stores.log_of(run) if event.name == "notice"]
    assert b'"limit":5' in notices[0]
    assert [b'"warning":true' in notice for notice in notices] == [False, True]


async def test_a_recursion_limit_below_max_steps_fails_with_graph_recursion_error(
    stores: Stores, graphs: Registry
) -> None:
    kwargs = {"input": {"value": 0}, "config": {"recursion_limit": 4}}
    await stores.create_run(graph_id="loop", options=kwargs)
    run = await execute_next(stores, graphs)
    assert run.error is not None
    assert (run.error["error"], run.error["code"]) == ("GraphRecursionError", "ceiling.steps")


@pytest.mark.slow
async def test_max_step_s_ends_a_run_whose_node_blocks_a_thread(stores: Stores, graphs: Registry) -> None:
    effects = graphs.load_object("./graphs.py:effects")
    run = await run_to_end(stores, graphs, "block", {"value": 6000}, max_step_s=0.2)
    assert isinstance(effects, dict)
    assert "block" not in effects[run.thread_id], "the run waited until the node returned"


def test_a_request_can_lower_a_ceiling_but_not_raise_it() -> None:
    limits = ceilings_of(Settings(max_steps=100), {"max_steps": 50}, {"max_steps": 80, "max_retries": 1})
    assert (limits["max_steps"], limits["max_retries"]) == (50, 1)
    assert ceilings_of(Settings(max_steps=100), {}, {"max_steps": 80})["max_steps"] == 80


def test_the_default_of_max_node_visits_is_max_steps() -> None:
    assert ceilings_of(Settings(), {}, {})["max_node_visits"] == 500
    assert ceilings_of(Settings(max_steps=100), {"max_steps": 50}, {"max_steps": 7})["max_node_visits"] == 7
    assert ceilings_of(Settings(max_node_visits=20), {}, {})["max_node_visits"] == 20
    assert ceilings_of(Settings(max_node_visits=20), {"max_node_visits": 30}, {})["max_node_visits"] == 30


@pytest.mark.parametrize(
    "wrong", [{"max_stepz": 1}, {"max_steps": "1"}, {"max_steps": -1}, {"max_steps": True}, {"max_tokens": -9}]
)
def test_an_invalid_ceiling_is_rejected(wrong: dict[str, Any]) -> None:
    with pytest.raises(InvalidRequest):
        parse_limits(wrong, "config.configurable.ceilings")


async def test_the_error_of_the_last_retry_is_visible_to_operators_only(stores: Stores, graphs: Registry) -> None:
    run = await run_to_end(stores, graphs, "flaky", {"value": 0}, max_retries=1)
    assert run.error is not None
    assert run.error["message"].endswith(": not today")
    thread = await stores.thread_of(run)
    assert thread.error is not None
    assert thread.error["message"].endswith("the last failure was ConnectionError")


def test_the_usage_of_a_node_whose_name_is_no_utf_8_can_be_stored() -> None:
    usage = Usage(steps=1, node_visits=Counter({"\ud800": 1}))
    assert public_usage(usage.stored().encode())["node_visits"] == {"?": 1}
