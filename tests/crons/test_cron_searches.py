"""A search of crons finds what a comparison of all crons finds, in every order."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from random import Random
from typing import Any, Final, get_args

import pytest

from slipway.access.filters import parse_filter
from slipway.api.bodies.crons import CronSort
from slipway.clock import Clock
from slipway.crons import search
from slipway.crons.record import Cron, NewCron
from slipway.crons.schedules import Schedule
from slipway.crons.search import CronQuery, CronSearch
from slipway.crons.store import CronStore
from slipway.errors import NotFound
from slipway.redis.keys import Keys
from slipway.redis.pipeline import Pipeline
from slipway.run_options import RunOptions
from slipway.runs.record import new_id
from slipway.runs.run_request import RunRequest
from slipway.threads.scripts import ThreadScripts
from tests.shards import shards_of

ASSISTANTS: Final = [new_id() for _ in range(3)]
SCHEDULES: Final = ("0 8 * * *", "30 12 1 * *", "0 0 1 1 *")
VALUES: Final = (1, True, None, "x", ["a", "b"], {"deep": 1})
NOW_MS: Final = 1_800_000_000_000


def new_cron(random: Random, thread_id: str | None) -> NewCron:
    end_ms = random.choice([None, NOW_MS + random.randrange(1, 10) * 86_400_000])
    return NewCron(
        assistant_id=random.choice(ASSISTANTS),
        thread_id=thread_id,
        schedule=Schedule(random.choice(SCHEDULES), None, end_ms),
        enabled=random.random() < 0.7,
        on_run_completed=None,
        payload={},
        metadata={"team": random.choice(VALUES)} if random.random() < 0.7 else {},
        request=RunRequest(assistant_id="steps", options=RunOptions()),
    )


async def changed_crons(store: CronStore, random: Random, threads: list[str], steps: int) -> list[Cron]:
    """The crons after random creations, changes and deletions."""
    thread_of = {new_id(): random.choice([None, *threads]) for _ in range(30)}
    for _ in range(steps):
        cron_id, thread_id = random.choice(list(thread_of.items()))
        with suppress(NotFound):
            match random.randrange(6):
                case 0:
                    await store.delete(cron_id)
                case 1 | 2:
                    changed = new_cron(random, thread_id)
                    await store.change(cron_id, changed, NOW_MS, reschedule=random.random() < 0.5)
                case _:
                    await store.create(cron_id, new_cron(random, thread_id), NOW_MS)
    crons = []
    for cron_id in thread_of:
        with suppress(NotFound):
            crons.append(await store.get(cron_id))
    return crons


def queries(random: Random, threads: list[str]) -> Iterator[CronQuery]:
    yield CronQuery()
    for _ in range(60):
        query = CronQuery()
        if random.random() < 0.3:
            query = replace(query, assistant_id=random.choice([*ASSISTANTS, new_id()]))
        if random.random() < 0.3:
            query = replace(query, thread_id=random.choice(threads))
        if random.random() < 0.3:
            query = replace(query, enabled=random.random() < 0.5)
        if random.random() < 0.3:
            query = replace(query, metadata={"team": random.choice(VALUES)})
        if random.random() < 0.2:
            query = replace(query, access_filter=parse_filter({"team": {"$contains": "a"}}))
        yield query


@pytest.mark.parametrize("sorted_here", [500, 12])
async def test_every_search_finds_what_a_comparison_finds(
    pipeline: Pipeline, keys: Keys, monkeypatch: pytest.MonkeyPatch, sorted_here: int
) -> None:
    """With few crons that are sorted after they were read, and with more than those."""
    monkeypatch.setattr(search, "SORTED_HERE", sorted_here)
    random, store, scripts = (
        Random(sorted_here),
        CronStore(pipeline, shards_of(keys), Clock()),
        ThreadScripts(pipeline, shards_of(keys)),
    )
    threads = [new_id() for _ in range(3)]
    for thread_id in threads:
        await scripts.create(thread_id, {}, token=new_id(), ttl=None)
    crons = await changed_crons(store, random, threads, 150)
    assert len(crons) > 15
    searches = CronSearch(pipeline, shards_of(keys).crons, max_checks=20_000)
    now_ms = int(Clock().now().timestamp() * 1000)
    for query in queries(random, threads):
        matching = [cron for cron in crons if query.matches(cron)]
        sort_by: str = random.choice(get_args(CronSort))
        descending, offset = random.random() < 0.5, random.choice([0, 0, 1, 5])

        def rank(cron: Cron, sort_by: str = sort_by) -> Any:
            return str(getattr(cron, sort_by) or ""), cron.cron_id

        matching.sort(key=rank, reverse=descending)
        found = await searches.page(query, now_ms, limit=7, offset=offset, sort_by=sort_by, descending=descending)
        assert found.complete
        assert found.records == matching[offset : offset + 7], (query, sort_by, descending, offset)
        counted = await searches.count(query, now_ms)
        assert (counted.number, counted.complete) == (len(matching), True)
    for cron in crons:
        await store.delete(cron.cron_id)
    left = {name.decode() for name in await pipeline.send("KEYS", f"{keys.prefix}:cron*")}
    assert left == set()
