"""When a web process runs full garbage collections."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Iterator

import pytest

from slipway.processes import garbage_collection
from slipway.processes.garbage_collection import collect_when_idle, freeze_loaded_objects
from tests.waiting import Eventually

CHECK_S = 0.01


def full_collections() -> int:
    return int(gc.get_stats()[2]["collections"])


@pytest.fixture
def only_explicit_collections(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The interpreter itself runs no collection, and the process is checked often."""
    monkeypatch.setattr(garbage_collection, "IDLE_CHECK_S", CHECK_S)
    gc.collect()
    gc.disable()
    yield
    gc.enable()


@pytest.mark.usefixtures("only_explicit_collections")
async def test_an_idle_process_collects_once_what_became_old(
    eventually: Eventually, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(garbage_collection, "IDLE_CPU", 1000.0)  # always idle
    collecting, before = asyncio.create_task(collect_when_idle()), full_collections()
    await asyncio.sleep(5 * CHECK_S)  # several checks
    assert full_collections() == before, "nothing is old yet"
    gc.collect(1)
    await eventually(lambda: full_collections() == before + 1)
    await asyncio.sleep(5 * CHECK_S)  # several checks
    assert full_collections() == before + 1, "nothing became old since"
    collecting.cancel()


@pytest.mark.usefixtures("only_explicit_collections")
async def test_a_busy_process_runs_no_full_collection(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(garbage_collection, "IDLE_CPU", -1.0)  # never idle
    gc.collect(1)
    collecting, before = asyncio.create_task(collect_when_idle()), full_collections()
    await asyncio.sleep(5 * CHECK_S)  # several checks
    assert full_collections() == before
    collecting.cancel()


@pytest.fixture
def frozen_objects() -> Iterator[None]:
    """As in a process that has started. They stay frozen, as most are since the tests were collected."""
    threshold = gc.get_threshold()
    freeze_loaded_objects()
    yield
    gc.set_threshold(*threshold)


@pytest.mark.usefixtures("frozen_objects")
def test_a_collection_of_young_objects_scans_a_bounded_number_of_them() -> None:
    """However many objects a process creates and keeps: a large state has more than 100,000."""
    scanned: list[int] = []

    def count(phase: str, info: dict[str, int]) -> None:
        if phase == "start" and info["generation"] < 2:
            scanned.append(sum(len(gc.get_objects(generation)) for generation in range(info["generation"] + 1)))

    gc.callbacks.append(count)
    kept: list[list[int]] = [[] for _ in range(1_200_000)]
    gc.callbacks.remove(count)
    assert len(kept) > len(scanned) > 10
    assert max(scanned) < 130_000
