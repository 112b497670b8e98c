"""A worker dies in the middle of a superstep: what its finished tasks produced is in the log once, in every mode."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterator
from typing import Any

import orjson
import pytest

from app.runs.events import Event
from app.runs.runs import Phase, Run
from tests.conftest import Eventually
from tests.heart.conftest import Stores
from tests.heart.test_recovery import DyingScripts, die_after, execution, finish
from workers.registry import Registry

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
    return await stores.run(await stores.thread(), graph_id=graph_id, kwargs=kwargs)


def _open(graphs: Registry, run: Run) -> None:
    gates: Any = graphs.attribute("./graphs.py:gates")
    gates[run.thread_id].set()


async def _calm(stores: Stores, graphs: Registry, graph_id: str, modes: list[str]) -> Counter[str]:
    run = await _made(stores, graphs, graph_id, modes)
    _open(graphs, run)
    assert (await finish(stores, graphs)).phase is Phase.COMPLETED
    return names(results(await stores.log(run)))


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
    scripts = DyingScripts(stores, 10**6)
    working = asyncio.create_task(execution(stores, graphs, await stores.claim_one(), scripts).execute())

    async def others_are_stored() -> bool:
        held = [tuple_ async for tuple_ in stores.checkpointer.alist({"configurable": {"thread_id": run.thread_id}})]
        texts = [str(value) for each in held for _, _, value in each.pending_writes or ()]
        return all(any(f"report{n}" in text for text in texts) for n in range(REPORTS - 1)) or (
            graph_id == "calls_reports" and sum(len(each.pending_writes or ()) for each in held) >= REPORTS - 1
        )

    await eventually(others_are_stored)
    scripts.cut()
    _open(graphs, run)
    await working
    assert scripts.died
    await stores.reap()
    assert (await finish(stores, graphs)).phase is Phase.COMPLETED
    effects: Any = graphs.attribute("./graphs.py:effects")
    assert [effects[run.thread_id][f"report{number}"] for number in range(REPORTS)] == [1, 1, 1, 2]
    log = await stores.log(run)
    found = Counter(results(log))
    again = {'custom {"reports":3}'}  # the task that had not finished says it again
    assert {name: count for name, count in found.items() if count > 1 and name not in again} == {}
    assert set(names(results(log))) == set(expected)
    for name, count in names(results(log)).items():
        assert count == expected[name] + (name in again), name


@pytest.mark.parametrize("durability", ["async", "sync"])
@pytest.mark.parametrize("graph_id", [*SHAPES, "fan", "wide", "calls_in_turn"])
async def test_whatever_landed_last_each_result_comes_once(
    stores: Stores, graphs: Registry, graph_id: str, durability: str
) -> None:
    modes = [mode for mode in MODES if mode != "custom"]
    expected = await _calm(stores, graphs, graph_id, modes)
    for groups in range(100):
        run = await _made(stores, graphs, graph_id, modes, durability)
        _open(graphs, run)
        if not await die_after(stores, graphs, await stores.claim_one(), groups):
            break
        assert (await finish(stores, graphs)).phase is Phase.COMPLETED
        log = await stores.log(run)
        twice = {name for name, count in Counter(results(log)).items() if count > 1 and not name.startswith("updates")}
        assert twice == set(), f"after {groups} groups"
        assert names(results(log)) == expected, f"after {groups} groups"
    else:
        raise AssertionError("never ended")
