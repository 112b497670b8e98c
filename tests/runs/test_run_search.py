"""A search of runs across threads finds what a comparison of all runs finds, in order, on pages of any length."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from random import Random
from typing import Final

import pytest

from slipway.assistants.system import system_id
from slipway.runs.record import Phase, Run, new_id
from slipway.runs.run_cursor import Conditions, OtherConditions, cursor_of, position_of
from slipway.runs.run_position import RunPosition
from slipway.runs.search import RunPage, RunQuery, RunSearch
from tests.runs.conftest import Stores
from tests.runs.run_history import GRAPHS, OWN_ASSISTANT, History, stored_runs

MAX_CHECKS: Final = 20_000


def search_of(stores: Stores, max_checks: int = MAX_CHECKS) -> RunSearch:
    return RunSearch(stores.pipeline, stores.shards, max_checks=max_checks)


def queries(random: Random, runs: Sequence[Run]) -> Iterator[RunQuery]:
    """Random queries, some of which match no run."""
    times = sorted(int(run.incarnation) for run in runs)
    for _ in range(40):
        query = RunQuery()
        if random.random() < 0.6:
            query = replace(query, phases=frozenset(random.sample(list(Phase), random.randint(1, 3))))
        if random.random() < 0.4:
            query = replace(query, graph_id=random.choice([*GRAPHS, "unknown"]))
        if random.random() < 0.4:
            query = replace(query, assistant_id=random.choice([*map(system_id, GRAPHS), OWN_ASSISTANT, new_id()]))
        if random.random() < 0.3:
            query = replace(query, owner=random.choice(["ann", "bo", "nobody"]))
        if random.random() < 0.2:
            query = replace(query, error_code=random.choice(["node.failed", "ceiling.attempts", "input.invalid"]))
        if random.random() < 0.3:
            query = replace(query, created_from_us=random.choice(times))
        if random.random() < 0.3:
            query = replace(query, created_before_us=random.choice(times))
        yield query


def expected(runs: Sequence[Run], query: RunQuery, *, oldest_first: bool) -> list[str]:
    matching = [run for run in runs if query.matches(run)]
    matching.sort(key=RunPosition.of, reverse=not oldest_first)
    return [run.run_id for run in matching]


CONDITIONS: Conditions = {"phase": ["queued"], "owner": "ann"}


async def pages(search: RunSearch, query: RunQuery, *, limit: int, oldest_first: bool) -> list[RunPage]:
    after: RunPosition | None = None
    found = []
    while True:
        page = await search.page(query, limit=limit, after=after, oldest_first=oldest_first)
        found.append(page)
        if page.next is None:
            return found
        assert after != page.next
        after = position_of(cursor_of(page.next, CONDITIONS), CONDITIONS)


def ids_of(found: Sequence[RunPage]) -> list[str]:
    return [run.run_id for page in found for run in page.runs]


@pytest.mark.parametrize("seed", range(2))
async def test_every_page_has_what_a_comparison_of_all_runs_finds(stores: Stores, seed: int) -> None:
    history, random = History(stores, seed), Random(seed)
    await history.take_steps(250)
    runs = await stored_runs(stores)
    for query in queries(random, runs):
        oldest_first, limit = random.random() < 0.5, random.choice([1, 3, 1000])
        found = await pages(search_of(stores), query, limit=limit, oldest_first=oldest_first)
        assert ids_of(found) == expected(runs, query, oldest_first=oldest_first)
        assert all(len(page.runs) == limit for page in found[:-1])


async def test_pages_stay_right_while_runs_are_created_and_end(stores: Stores) -> None:
    """A run that matches all the time comes once."""
    history, search = History(stores, 7), search_of(stores)
    await history.take_steps(150)
    for query in (RunQuery(), RunQuery(phases=frozenset({Phase.COMPLETED})), RunQuery(graph_id="steps")):
        always = set(expected(await stored_runs(stores), query, oldest_first=False))
        found: list[str] = []
        page = await search.page(query, limit=3)
        while page.next is not None:
            found += ids_of([page])
            await history.take_steps(2)
            always &= set(expected(await stored_runs(stores), query, oldest_first=False))
            page = await search.page(query, limit=3, after=page.next)
        found += ids_of([page])
        assert len(found) == len(set(found))
        assert always <= set(found)


async def test_a_search_that_reads_too_much_stops_and_continues_on_the_next_page(stores: Stores) -> None:
    """Two large sets that have only one run in common."""
    user = {"identity": "ann"}
    wanted = await stores.create_run(user=user, graph_id="rare")
    for _ in range(8):
        await stores.create_run(user=user)
        await stores.create_run(graph_id="rare")
    query = RunQuery(owner="ann", graph_id="rare")
    found = await pages(search_of(stores, max_checks=3), query, limit=5, oldest_first=False)
    assert ids_of(found) == [wanted.run_id]


async def test_running_runs_are_found_by_their_leases(stores: Stores) -> None:
    """However many runs are queued."""
    await stores.create_run()
    running = await stores.claim_one()
    for _ in range(5):
        await stores.create_run()
    (page,) = await pages(
        search_of(stores, max_checks=1), RunQuery(phases=frozenset({Phase.RUNNING})), limit=5, oldest_first=False
    )
    assert ids_of([page]) == [running.run_id]


async def test_a_page_continues_after_its_last_run_also_if_more_were_read(stores: Stores) -> None:
    """Queued runs are in one index with running ones, which a search reads in vain."""
    created = [await stores.create_run() for _ in range(6)]
    running = {run.run_id for run in await stores.claim(limit=3)}
    found = await pages(search_of(stores), RunQuery(phases=frozenset({Phase.QUEUED})), limit=1, oldest_first=True)
    assert ids_of(found) == [run.run_id for run in created if run.run_id not in running]


@pytest.mark.parametrize("cursor", ["", "?", "abc", "A" * 31, "A" * 33, "é" * 32])
def test_a_text_that_is_no_cursor_is_rejected(cursor: str) -> None:
    with pytest.raises(ValueError, match=r"^"):
        position_of(cursor, {})


def test_a_cursor_of_other_conditions_is_rejected() -> None:
    position = RunPosition(17, "01a22917-adf7-7253-84bc-5ede690a5f5f")
    cursor = cursor_of(position, CONDITIONS)
    assert position_of(cursor, CONDITIONS) == position
    for other in ({"phase": ["queued"], "owner": None}, {"phase": [], "owner": "ann"}):
        (name,) = [name for name in other if other[name] != CONDITIONS[name]]
        with pytest.raises(OtherConditions, match=f"^{name}$"):
            position_of(cursor, other)
    with pytest.raises(ValueError, match=cursor):
        position_of(cursor, {"owner": "ann"})
