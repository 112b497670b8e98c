"""A worker dies in the middle of a superstep: what its finished tasks produced is in the log once, in every mode."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import orjson
import pytest

from slipway.graphs.registry import Registry
from slipway.runs.attempt import DEFAULT_LIMITS, SendLimits
from slipway.runs.events import Event
from slipway.runs.record import Phase, Run
from tests.conftest import Eventually
from tests.runs.conftest import Stores
from tests.runs.executions import CrashingScripts, crash_after, execute_next, execution_of

MODES = ["values", "updates", "tasks", "debug", "checkpoints", "custom"]
SHAPES = ["reports", "inner_reports", "calls_reports"]
REPORTS = 4


def results(log: list[Event]) -> Iterator[str]:
    """Each thing that must come once: results by task, updates and custom events by report, checkpoints by id."""
    for event in log:
        mode, _, place = event.name.partition("|")
        data = orjson.loads(event.data)
        if mode == "debug":
            mode, data = f"debug {data['type']}", data["payload"]
        if mode in ("tasks", "debug task", "debug task_result") and "result" in data:
            yield f"{mode} {data['name']} {data['id']}"
        elif mode == "updates":
            assert "__metadata__" not in data
            yield f"updates {place.split(':')[0]} {event.data.decode()}"
        elif mode == "custom":
            yield f"custom {event.data.decode()}"
        elif mode in ("checkpoints", "debug checkpoint"):
            yield f"{mode} {data['config']['configurable']['checkpoint_id']}"


def names(found: Iterator[str]) -> Counter[str]:
    """How many there are of each, without the ids, which differ between runs."""
    with_ids = ("tasks", "debug", "checkpoints")
    return Counter(result.rpartition(" ")[0] if result.startswith(with_ids) else result for result in found)


async def _made(stores: Stores, graphs: Registry, graph_id: str, modes: list[str], durability: str = "async") -> Run:
    given = {"value": 1, "log": ["given"]}
    kwargs = {"input": given, "stream_mode": modes, "subgraphs": True, "durability": durability}
    return await stores.create_run(graph_id=graph_id, options=kwargs)


def _open(graphs: Registry, run: Run) -> None:
    gates: Any = graphs.attribute("./graphs.py:gates")
    gates[run.thread_id].set()


async def _calm(
    stores: Stores, graphs: Registry, graph_id: str, modes: list[str], limits: SendLimits = DEFAULT_LIMITS
) -> Counter[str]:
    run = await _made(stores, graphs, graph_id, modes)
    _open(graphs, run)
    assert (await execute_next(stores, graphs, limits=limits)).phase is Phase.COMPLETED
    return names(results(await stores.log_of(run)))


@pytest.mark.parametrize(
    ("modes", "durability"),
    [([*MODES], "async"), ([*MODES], "sync"), *(([mode], "async") for mode in MODES if mode != "values")],
    ids=str,
)
@pytest.mark.parametrize("graph_id", SHAPES)
async def test_a_death_while_one_task_is_left_repeats_nothing_of_the_others(
    stores: Stores, graphs: Registry, eventually: Eventually, graph_id: str, modes: list[str], durability: str
) -> None:
    expected = await _calm(stores, graphs, graph_id, modes)
    run = await _made(stores, graphs, graph_id, modes, durability)
    scripts = CrashingScripts(stores)
    working = asyncio.create_task(execution_of(stores, graphs, await stores.claim_one(), scripts).execute())

    async def others_are_stored() -> bool:
        held = [tuple_ async for tuple_ in stores.checkpointer.alist({"configurable": {"thread_id": run.thread_id}})]
        texts = [str(value) for each in held for _, _, value in each.pending_writes or ()]
        return all(any(f"report{n}" in text for text in texts) for n in range(REPORTS - 1)) or (
            graph_id == "calls_reports" and sum(len(each.pending_writes or ()) for each in held) >= REPORTS - 1
        )

    await eventually(others_are_stored)
    scripts.crash()
    _open(graphs, run)
    await working
    assert scripts.crashed
    await stores.reap()
    assert (await execute_next(stores, graphs)).phase is Phase.COMPLETED
    effects: Any = graphs.attribute("./graphs.py:effects")
    assert [effects[run.thread_id][f"report{number}"] for number in range(REPORTS)] == [1, 1, 1, 2]
    log = await stores.log_of(run)
    found = Counter(results(log))
    again = {'custom {"reports":3}'}  # the task that had not finished says it again
    assert {name: count for name, count in found.items() if count > 1 and name not in again} == {}
    assert set(names(results(log))) == set(expected)
    for name, count in names(results(log)).items():
        assert count == expected[name] + (name in again), name


LATE = SendLimits(delay_s=0)
"""On a slow machine each timer is due in the next event loop iteration."""

PACES = {"": DEFAULT_LIMITS, "late": LATE, "late-and-full": replace(LATE, max_buffered_bytes=0)}
"""`full`: large events make the reader of the stream wait after each."""


@pytest.mark.parametrize(
    ("graph_id", "pace"),
    [
        *((graph_id, "") for graph_id in [*SHAPES, "fan", "wide", "calls_in_turn"]),
        ("inner_reports", "late"),
        *((graph_id, "late-and-full") for graph_id in ["inner_reports", "calls_reports", "calls_in_turn"]),
    ],
)
@pytest.mark.parametrize("durability", ["async", "sync"])
async def test_whatever_landed_last_each_result_comes_once(
    stores: Stores, graphs: Registry, graph_id: str, durability: str, pace: str
) -> None:
    limits = PACES[pace]
    modes = [mode for mode in MODES if mode != "custom"]
    expected = await _calm(stores, graphs, graph_id, modes, limits)
    for groups in range(100):
        run = await _made(stores, graphs, graph_id, modes, durability)
        _open(graphs, run)
        if not await crash_after(stores, graphs, await stores.claim_one(), groups, limits=limits):
            break
        assert (await execute_next(stores, graphs, limits=limits)).phase is Phase.COMPLETED
        log = await stores.log_of(run)
        found = names(results(log))
        assert expected - found == Counter(), f"after {groups} groups"
        if limits.max_buffered_bytes:  # else a task's events may be stored before its result
            twice = {
                name for name, count in Counter(results(log)).items() if count > 1 and not name.startswith("updates")
            }
            assert twice == set(), f"after {groups} groups"
            assert found == expected, f"after {groups} groups"
    else:
        raise AssertionError("never ended")


async def _half_answered(stores: Stores, graphs: Registry) -> tuple[str, str, str]:
    """A thread in which one of two parallel nodes has its answer, its latest checkpoint, and the other interrupt."""
    thread_id = await stores.create_thread()
    await stores.create_run(thread_id, graph_id="asks", options={"input": {"value": 1}})
    assert (await execute_next(stores, graphs)).phase is Phase.WAITING_FOR_APPROVAL
    asked = await stores.checkpointer.latest(thread_id)
    assert asked is not None
    writes = asked.pending_writes or ()
    first, second = (one.id for _, channel, value in writes if channel == "__interrupt__" for one in value)
    await stores.create_run(thread_id, graph_id="asks", options={"command": {"resume": {first: "yes"}}})
    assert (await execute_next(stores, graphs)).phase is Phase.WAITING_FOR_APPROVAL
    latest = await stores.checkpointer.latest(thread_id)
    assert latest is not None
    return thread_id, latest.config["configurable"]["checkpoint_id"], second


@pytest.mark.parametrize("named", [True, False], ids=["at a checkpoint", "at the latest"])
async def test_what_another_run_had_finished_is_replayed_once(stores: Stores, graphs: Registry, named: bool) -> None:
    for groups in range(100):
        thread_id, checkpoint_id, interrupt_id = await _half_answered(stores, graphs)
        kwargs = {"command": {"resume": {interrupt_id: "yes"}}, "stream_mode": MODES}
        at = {"checkpoint": {"checkpoint_id": checkpoint_id, "checkpoint_ns": ""}} if named else {}
        run = await stores.create_run(thread_id, graph_id="asks", options=kwargs | at)
        if not await crash_after(stores, graphs, await stores.claim_one(), groups):
            break
        assert (await execute_next(stores, graphs)).phase is Phase.COMPLETED
        updates = [orjson.loads(event.data) for event in await stores.log_of(run) if event.name == "updates"]
        finished = [node for update in updates for node in update if node != "__metadata__"]
        assert sorted(finished) == ["end", "left", "right"], f"after {groups} groups"
    else:
        raise AssertionError("never ended")


def said(log: list[Event]) -> Counter[str]:
    """What models have streamed, word by word, and the ends of the nodes that called them, as LangChain's events."""
    found = Counter[str]()
    for event in log:
        data = orjson.loads(event.data)
        if event.name.startswith("messages") and data[0]["content"].strip():
            found[f"message {data[0]['content']}"] += 1
        elif event.name.startswith("events") and data["event"] == "on_chain_end" and data["name"] == "report":
            found[f"end {data['data']['output']['log'][0]}"] += 1
    return found


@pytest.mark.parametrize("durability", ["async", "sync"])
@pytest.mark.parametrize("mode", ["messages-tuple", "events"])
async def test_whatever_landed_last_nothing_is_lost_of_what_models_said(
    stores: Stores, graphs: Registry, mode: str, durability: str
) -> None:
    modes = ["values", mode]
    run = await _made(stores, graphs, "models_report", modes)
    assert (await execute_next(stores, graphs, limits=LATE)).phase is Phase.COMPLETED
    expected = said(await stores.log_of(run))
    assert expected.total() == REPORTS * (1 if mode == "events" else 4)  # 4 words
    for groups in range(100):
        run = await _made(stores, graphs, "models_report", modes, durability)
        if not await crash_after(stores, graphs, await stores.claim_one(), groups, limits=LATE):
            break
        assert (await execute_next(stores, graphs, limits=LATE)).phase is Phase.COMPLETED
        assert expected - said(await stores.log_of(run)) == Counter(), f"after {groups} groups"
    else:
        raise AssertionError("never ended")


async def test_tasks_that_are_executed_again_at_an_older_checkpoint_are_announced_again(
    stores: Stores, graphs: Registry
) -> None:
    """Their results are stored there already, by the run that gave the first answer."""
    first = await _made(stores, graphs, "ask", ["tasks"])
    await execute_next(stores, graphs)
    answer: dict[str, Any] = {"input": None, "command": {"resume": "yes"}, "stream_mode": ["tasks"]}
    await stores.create_run(first.thread_id, graph_id="ask", options=answer)
    assert (await execute_next(stores, graphs)).phase is Phase.COMPLETED
    held = stores.checkpointer.alist({"configurable": {"thread_id": first.thread_id, "checkpoint_ns": ""}})
    (older,) = [found.checkpoint["id"] async for found in held if found.metadata["step"] == 1]
    kwargs = answer | {"checkpoint": {"checkpoint_id": older, "checkpoint_ns": ""}}
    for groups in range(100):
        await stores.create_run(first.thread_id, graph_id="ask")
        assert (await execute_next(stores, graphs)).phase is Phase.WAITING_FOR_APPROVAL, "else the answer is refused"
        run = await stores.create_run(first.thread_id, graph_id="ask", options=kwargs)
        if not await crash_after(stores, graphs, await stores.claim_one(), groups):
            break
        assert (await execute_next(stores, graphs)).phase is Phase.COMPLETED
        log = await stores.log_of(run)
        begins = max(number for number, event in enumerate(log) if event.name == "metadata")
        tasks = [orjson.loads(event.data) for event in log[begins:] if event.name == "tasks"]
        executed = {task["id"] for task in tasks if "result" in task}
        assert executed <= {task["id"] for task in tasks if "triggers" in task}, f"after {groups} groups"
    else:
        raise AssertionError("never ended")
