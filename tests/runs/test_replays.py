"""When a worker crashes within a superstep, the log has the events of each finished task once, in every stream mode."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import orjson
import pytest

from slipway.graphs.registry import Registry
from slipway.runs.attempt_writer import DEFAULT_LIMITS, SendLimits
from slipway.runs.events import Event
from slipway.runs.record import Phase, Run
from tests.runs.conftest import Stores
from tests.runs.executions import CrashingScripts, crash_after, execute_next, execution_of
from tests.waiting import Eventually

MODES = ["values", "updates", "tasks", "debug", "checkpoints", "custom"]
SHAPES = ["reports", "inner_reports", "calls_reports"]
REPORTS = 4
ENDLESS = "the run sends more than 100 write groups"


def results(log: list[Event]) -> Iterator[str]:
    """A text for each event that must occur once: results by task, updates and custom events by report, checkpoints by
    id."""
    for event in log:
        mode, _, namespace = event.name.partition("|")
        data = orjson.loads(event.data)
        if mode == "debug":
            mode, data = f"debug {data['type']}", data["payload"]
        if mode in ("tasks", "debug task", "debug task_result") and "result" in data:
            yield f"{mode} {data['name']} {data['id']}"
        elif mode == "updates":
            assert "__metadata__" not in data
            yield f"updates {namespace.split(':')[0]} {event.data.decode()}"
        elif mode == "custom":
            yield f"custom {event.data.decode()}"
        elif mode in ("checkpoints", "debug checkpoint"):
            yield f"{mode} {data['config']['configurable']['checkpoint_id']}"


def count_without_ids(texts: Iterator[str]) -> Counter[str]:
    """How often each of `results` occurs, without ids, which differ between runs."""
    with_ids = ("tasks", "debug", "checkpoints")
    return Counter(text.rpartition(" ")[0] if text.startswith(with_ids) else text for text in texts)


async def _create_run(
    stores: Stores, graphs: Registry, graph_id: str, modes: list[str], durability: str = "async"
) -> Run:
    kwargs = {
        "input": {"value": 1, "log": ["given"]},
        "stream_mode": modes,
        "subgraphs": True,
        "durability": durability,
    }
    return await stores.create_run(graph_id=graph_id, options=kwargs)


def _open_gate(graphs: Registry, run: Run) -> None:
    gates: Any = graphs.load_object("./graphs.py:gates")
    gates[run.thread_id].set()


async def _count_without_crash(
    stores: Stores, graphs: Registry, graph_id: str, modes: list[str], limits: SendLimits = DEFAULT_LIMITS
) -> Counter[str]:
    run = await _create_run(stores, graphs, graph_id, modes)
    _open_gate(graphs, run)
    assert (await execute_next(stores, graphs, limits=limits)).phase is Phase.COMPLETED
    return count_without_ids(results(await stores.log_of(run)))


@pytest.mark.parametrize(
    ("modes", "durability"),
    [([*MODES], "async"), ([*MODES], "sync"), *(([mode], "async") for mode in MODES if mode != "values")],
    ids=str,
)
@pytest.mark.parametrize("graph_id", SHAPES)
async def test_a_crash_during_the_last_task_of_a_superstep_repeats_no_other_task(
    stores: Stores, graphs: Registry, eventually: Eventually, graph_id: str, modes: list[str], durability: str
) -> None:
    expected = await _count_without_crash(stores, graphs, graph_id, modes)
    run = await _create_run(stores, graphs, graph_id, modes, durability)
    scripts = CrashingScripts(stores)
    working = asyncio.create_task(execution_of(stores, graphs, await stores.claim_one(), scripts).execute())

    async def others_are_stored() -> bool:
        checkpoints = stores.checkpointer.alist({"configurable": {"thread_id": run.thread_id}})
        writes = [write async for checkpoint in checkpoints for write in checkpoint.pending_writes or ()]
        texts = [str(value) for _, _, value in writes]
        return all(any(f"report{n}" in text for text in texts) for n in range(REPORTS - 1)) or (
            graph_id == "calls_reports" and len(writes) >= REPORTS - 1
        )

    await eventually(others_are_stored)
    scripts.crash()
    _open_gate(graphs, run)
    await working
    assert scripts.crashed
    await stores.reap()
    assert (await execute_next(stores, graphs)).phase is Phase.COMPLETED
    effects: Any = graphs.load_object("./graphs.py:effects")
    assert [effects[run.thread_id][f"report{number}"] for number in range(REPORTS)] == [1, 1, 1, 2]
    log = await stores.log_of(run)
    repeated = {'custom {"reports":3}'}  # the unfinished task is executed again
    counts = Counter(results(log))
    assert {text: count for text, count in counts.items() if count > 1 and text not in repeated} == {}
    assert set(count_without_ids(results(log))) == set(expected)
    for text, count in count_without_ids(results(log)).items():
        assert count == expected[text] + (text in repeated), text


NO_DELAY = SendLimits(delay_s=0)
"""Commands are sent in the next event loop iteration, as on a slow machine on which each timer is late."""

LIMITS = {"": DEFAULT_LIMITS, "no-delay": NO_DELAY, "no-delay-no-buffer": replace(NO_DELAY, max_buffered_bytes=0)}
"""`no-buffer`: the graph waits after each event until it is sent, as after large events."""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("graph_id", "limits_name"),
    [
        *((graph_id, "") for graph_id in [*SHAPES, "fan", "wide", "calls_in_turn"]),
        ("inner_reports", "no-delay"),
        *((graph_id, "no-delay-no-buffer") for graph_id in ["inner_reports", "calls_reports", "calls_in_turn"]),
    ],
)
@pytest.mark.parametrize("durability", ["async", "sync"])
async def test_after_a_crash_at_any_write_group_each_result_is_in_the_log_once(
    stores: Stores, graphs: Registry, graph_id: str, durability: str, limits_name: str
) -> None:
    limits = LIMITS[limits_name]
    modes = [mode for mode in MODES if mode != "custom"]
    expected = await _count_without_crash(stores, graphs, graph_id, modes, limits)
    for groups in range(100):
        run = await _create_run(stores, graphs, graph_id, modes, durability)
        _open_gate(graphs, run)
        if not await crash_after(stores, graphs, await stores.claim_one(), groups, limits=limits):
            break
        assert (await execute_next(stores, graphs, limits=limits)).phase is Phase.COMPLETED
        log = await stores.log_of(run)
        counts = count_without_ids(results(log))
        assert expected - counts == Counter(), f"after {groups} groups"
        if limits.max_buffered_bytes:  # without a buffer, events of a task may be stored before its result
            repeated = {
                text for text, count in Counter(results(log)).items() if count > 1 and not text.startswith("updates")
            }
            assert repeated == set(), f"after {groups} groups"
            assert counts == expected, f"after {groups} groups"
    else:
        raise AssertionError(ENDLESS)


async def _half_answered(stores: Stores, graphs: Registry) -> tuple[str, str, str]:
    """Creates a thread in which one of two parallel interrupts is answered. Returns the ids of the thread, its latest
    checkpoint and the other interrupt."""
    thread_id = await stores.create_thread()
    await stores.create_run(thread_id, graph_id="asks", options={"input": {"value": 1}})
    assert (await execute_next(stores, graphs)).phase is Phase.WAITING_FOR_APPROVAL
    interrupted = await stores.checkpointer.latest(thread_id)
    assert interrupted is not None
    writes = interrupted.pending_writes or ()
    first, second = (each.id for _, channel, value in writes if channel == "__interrupt__" for each in value)
    await stores.create_run(thread_id, graph_id="asks", options={"command": {"resume": {first: "yes"}}})
    assert (await execute_next(stores, graphs)).phase is Phase.WAITING_FOR_APPROVAL
    latest = await stores.checkpointer.latest(thread_id)
    assert latest is not None
    return thread_id, latest.config["configurable"]["checkpoint_id"], second


@pytest.mark.parametrize("named", [True, False], ids=["at a checkpoint", "at the latest"])
async def test_a_task_that_an_earlier_run_finished_is_streamed_once(
    stores: Stores, graphs: Registry, named: bool
) -> None:
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
        raise AssertionError(ENDLESS)


def model_output(log: list[Event]) -> Counter[str]:
    """How often each word of a model and each end of a node `report` (a LangChain event) is in a log."""
    counts = Counter[str]()
    for event in log:
        data = orjson.loads(event.data)
        if event.name.startswith("messages") and data[0]["content"].strip():
            counts[f"message {data[0]['content']}"] += 1
        elif event.name.startswith("events") and data["event"] == "on_chain_end" and data["name"] == "report":
            counts[f"end {data['data']['output']['log'][0]}"] += 1
    return counts


@pytest.mark.slow
@pytest.mark.parametrize("durability", ["async", "sync"])
@pytest.mark.parametrize("mode", ["messages-tuple", "events"])
async def test_after_a_crash_at_any_write_group_no_output_of_a_model_is_lost(
    stores: Stores, graphs: Registry, mode: str, durability: str
) -> None:
    modes = ["values", mode]
    run = await _create_run(stores, graphs, "models_report", modes)
    assert (await execute_next(stores, graphs, limits=NO_DELAY)).phase is Phase.COMPLETED
    expected = model_output(await stores.log_of(run))
    assert expected.total() == REPORTS * (1 if mode == "events" else 4)  # 4 words
    for groups in range(100):
        run = await _create_run(stores, graphs, "models_report", modes, durability)
        if not await crash_after(stores, graphs, await stores.claim_one(), groups, limits=NO_DELAY):
            break
        assert (await execute_next(stores, graphs, limits=NO_DELAY)).phase is Phase.COMPLETED
        assert expected - model_output(await stores.log_of(run)) == Counter(), f"after {groups} groups"
    else:
        raise AssertionError(ENDLESS)


async def test_tasks_that_are_executed_again_at_an_older_checkpoint_are_announced_again(
    stores: Stores, graphs: Registry
) -> None:
    """The run that first answered the interrupt stored their results at this checkpoint."""
    first = await _create_run(stores, graphs, "ask", ["tasks"])
    await execute_next(stores, graphs)
    answer: dict[str, Any] = {"input": None, "command": {"resume": "yes"}, "stream_mode": ["tasks"]}
    await stores.create_run(first.thread_id, graph_id="ask", options=answer)
    assert (await execute_next(stores, graphs)).phase is Phase.COMPLETED
    config: Any = {"configurable": {"thread_id": first.thread_id, "checkpoint_ns": ""}}
    (older,) = [each.checkpoint["id"] async for each in stores.checkpointer.alist(config) if each.metadata["step"] == 1]
    kwargs = answer | {"checkpoint": {"checkpoint_id": older, "checkpoint_ns": ""}}
    for groups in range(100):
        await stores.create_run(first.thread_id, graph_id="ask")
        assert (await execute_next(stores, graphs)).phase is Phase.WAITING_FOR_APPROVAL, (
            "without an interrupt the answer is rejected"
        )
        run = await stores.create_run(first.thread_id, graph_id="ask", options=kwargs)
        if not await crash_after(stores, graphs, await stores.claim_one(), groups):
            break
        assert (await execute_next(stores, graphs)).phase is Phase.COMPLETED
        log = await stores.log_of(run)
        start = max(index for index, event in enumerate(log) if event.name == "metadata")
        tasks = [orjson.loads(event.data) for event in log[start:] if event.name == "tasks"]
        executed = {task["id"] for task in tasks if "result" in task}
        assert executed <= {task["id"] for task in tasks if "triggers" in task}, f"after {groups} groups"
    else:
        raise AssertionError(ENDLESS)
