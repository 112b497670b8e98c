"""A repair of indexes that is interrupted continues where it was, and its progress is how much it has read."""

from __future__ import annotations

from typing import Any

import pytest

from slipway.assistants.record import AssistantChanges
from slipway.assistants.store import AssistantStore
from slipway.health.doctor import Doctor
from slipway.redis import key_scan
from slipway.redis.scan_cursors import share_read
from slipway.runs.record import new_id
from tests.runs.conftest import LEASE_MS, Stores

RECORDS = 24


class Interrupted(Exception):
    pass


def doctor(stores: Stores, *, repair: bool = True) -> Doctor:
    return Doctor(stores.pipeline, stores.shards, lease_ms=LEASE_MS, repair=repair)


@pytest.fixture(autouse=True)
def small_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(key_scan, "SCAN_COUNT", 8)


async def remove_sets(stores: Stores, pattern: str) -> None:
    names = await stores.pipeline.send("KEYS", f"{stores.keys.prefix}:{pattern}", repeatable=True)
    await stores.pipeline.send("DEL", *names)


async def _repair_until_half(stores: Stores, work: str) -> None:
    def stop(shown: str, done: int, total: int) -> None:
        if shown == work and total / 2 < done < total:
            raise Interrupted

    with pytest.raises(Interrupted):
        await doctor(stores).check_all(stop)


@pytest.mark.parametrize("kind", ["run", "assistant"])
async def test_an_interrupted_repair_continues(stores: Stores, kind: str) -> None:
    assistants = AssistantStore(stores.pipeline, stores.shards.assistants)
    for number in range(RECORDS):
        if kind == "run":
            await stores.create_run()
        else:
            changes = AssistantChanges(graph_id="steps", name=str(number))
            await assistants.create(new_id(), changes, token=new_id(), exist_ok=False)
    pattern = {"run": "runs:with:*", "assistant": "assistants:by:*"}[kind]
    await remove_sets(stores, pattern)
    await _repair_until_half(stores, f"keys searched for {kind}s")
    await remove_sets(stores, pattern)
    repaired = await doctor(stores).check_all()
    count = sum(problem.name == f"{kind}_not_indexed" for problem in repaired)
    assert 0 < count < RECORDS * 3 / 4, "the second repair does not begin again"
    rest = await doctor(stores).check_all()
    assert sum(problem.name == f"{kind}_not_indexed" for problem in rest) == RECORDS - count
    assert await doctor(stores, repair=False).check_all() == []


async def test_a_check_without_repair_reads_everything(stores: Stores) -> None:
    for _ in range(RECORDS):
        await stores.create_run()
    await _repair_until_half(stores, "keys searched for runs")
    await remove_sets(stores, "runs:with:*")
    found = await doctor(stores, repair=False).check_all()
    assert sum(problem.name == "run_not_indexed" for problem in found) == RECORDS


async def test_progress_grows_to_all_of_each_work(stores: Stores) -> None:
    for _ in range(RECORDS):
        await stores.create_run()
    shown: dict[str, list[tuple[int, int]]] = {}

    def show(work: str, done: int, total: int) -> None:
        shown.setdefault(work, []).append((done, total))

    await doctor(stores, repair=False).check_all(show)
    await doctor(stores, repair=False).check_thread_indexes(show)
    assert shown.keys() == {
        *("threads", "indexes of threads"),
        *(f"keys searched for {kind}s" for kind in ("run", "cron", "assistant", "review")),
    }
    for values in shown.values():
        done = [done for done, _ in values]
        assert done == sorted(done)
        assert values[-1][0] == values[-1][1] > 0
    assert len({done for done, _ in shown["keys searched for runs"]}) > 5


@pytest.mark.parametrize("command", ["SCAN", "ZSCAN"])
async def test_the_share_of_a_scan_grows_with_what_it_has_returned(stores: Stores, command: str) -> None:
    key, members = f"{stores.keys.prefix}:members", 3000
    await stores.pipeline.send("ZADD", key, *(part for number in range(members) for part in (number, f"m{number}")))
    where = [] if command == "SCAN" else [key]
    total = members if where else await stores.pipeline.send("DBSIZE", repeatable=True)
    cursor: Any = b"0"
    returned, share = 0, 0.0
    while True:
        cursor, found = await stores.pipeline.send(command, *where, cursor, "COUNT", 10, repeatable=True)
        returned += len(found) // (2 if where else 1)
        following = share_read(None if cursor == b"0" else cursor.decode())
        assert following > share
        share = following
        if where:
            assert abs(share - returned / total) < 0.1
        if cursor == b"0":
            break
    assert share == 1.0
