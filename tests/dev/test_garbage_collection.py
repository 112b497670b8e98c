"""When a web process runs full garbage collections."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Iterator

import pytest

from slipway.processes import garbage_collection
from slipway.processes.garbage_collection import collect_when_idle
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
