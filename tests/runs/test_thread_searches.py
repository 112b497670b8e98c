"""Searches through the indexes of threads find what a comparison with every thread finds, after any changes."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Final

import orjson
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from slipway.access.filters import MATCH_ALL, AccessFilter, parse_filter
from slipway.errors import SlipwayError
from slipway.indexes.search import Limits
from slipway.indexes.terms import (
    MANY_MEMBERS,
    MAX_TERMS,
    MAX_VALUE_BYTES,
    MAX_VALUE_TERMS,
    OWNER,
    Space,
    member_digest,
    value_terms,
)
from slipway.redis.keys import Keys
from slipway.redis.script_source import library
from slipway.runs.record import Phase, Run, new_id
from slipway.serialization.json_encoding import dumps
from slipway.threads.index_check import ThreadIndexCheck
from slipway.threads.record import SORTABLE, STATUSES, Thread, thread_from
from slipway.threads.scripts import ThreadShardScripts
from slipway.threads.search import ThreadQuery, ThreadSearch
from slipway.threads.ttl import ThreadTtl
from tests.runs.conftest import Stores, new_run, opened

MEMBERS: Final = ("owner", "n", "tags", "odd \0 name", "assistant_id")
LONG: Final = "x" * 1000
SCALARS: Final = st.sampled_from([None, True, False, 0, 1, 1.0, -0.0, 2**53, 1e300, "", "ann", "bo", "1", "null", LONG])
NESTED: Final = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["a", "b"]), inner, max_size=2),
    max_leaves=4,
)
METADATA: Final = st.dictionaries(st.sampled_from(MEMBERS), NESTED, max_size=3)
CHANNELS: Final = st.dictionaries(st.sampled_from(["topic", "count", "messages"]), NESTED, max_size=3)
MANY: Final[dict[str, dict[str, Any]]] = {
    "many": {f"m{i}": i for i in range(MAX_TERMS + 1)},
    "long_list": {"tags": list(range(MAX_TERMS + 1))},
}
CONDITION: Final = st.dictionaries(
    st.sampled_from(MEMBERS),
    NESTED.filter(lambda value: not isinstance(value, dict))
    | st.builds(lambda value: {"$eq": value}, NESTED)
    | st.builds(lambda value: {"$contains": value}, SCALARS | st.lists(SCALARS, max_size=3)),
    max_size=2,
)
FILTER: Final = CONDITION | st.builds(
    lambda operator, several: {operator: several},
    st.sampled_from(["$or", "$and"]),
    st.lists(CONDITION, min_size=2, max_size=3),
)
LIMITS: Final = (
    Limits(gathered_at_once=100),
    Limits(gathered_at_once=0),
    Limits(gathered_at_once=0, step=2),
    Limits(gathered_at_once=0, gathered=0, step=2),
)
"""All ways of another order than `updated_at`: gathered at once, in one step, after one step, and in many steps."""

STEP: Final = st.tuples(
    st.sampled_from(
        ["create", "create", "patch", "patch", "run", "run", "settle", "write", "copy", "delete", "sweep", "hostile"]
    ),
    st.integers(0, 50),
    METADATA,
    CHANNELS,
)


@dataclass(slots=True)
class World:
    """Threads that change as web processes and workers change them. `number` chooses a thread."""

    stores: Stores
    threads: list[str] = field(default_factory=list)
    claimed: list[Run] = field(default_factory=list)

    async def take(self, step: str, number: int, metadata: dict[str, Any], values: dict[str, Any]) -> None:
        method: Callable[[int, dict[str, Any], dict[str, Any]], Awaitable[None]] = getattr(self, f"_{step}")
        if self.threads or step == "create":
            with suppress(SlipwayError):  # a deleted or busy thread
                await method(number, metadata, values)

    def _chosen(self, number: int) -> str:
        return self.threads[number % len(self.threads)]

    async def _create(self, number: int, metadata: dict[str, Any], values: dict[str, Any]) -> None:
        ttl = ThreadTtl(0.00001, "delete") if number % 5 == 0 else None
        self.threads.append((await self.stores.threads.create_or_get(new_id(), metadata, ttl=ttl))[0].thread_id)

    async def _patch(self, number: int, metadata: dict[str, Any], values: dict[str, Any]) -> None:
        await self.stores.threads.patch(self._chosen(number), metadata)

    async def _run(self, number: int, metadata: dict[str, Any], values: dict[str, Any]) -> None:
        differs: dict[str, Any] = {"graph_id": f"graph{number % 2}", "assistant_id": f"assistant{number % 3}"}
        if number % 4 == 0:
            differs |= {"options": {"temporary": True}, "create_thread": True, "own_thread": True}
            await self.stores.create(new_run(new_id(), metadata=metadata, **differs))
        else:
            await self.stores.create(new_run(self._chosen(number), metadata=metadata, **differs))
        self.claimed += await self.stores.claim(limit=1 + number % 2)

    async def _settle(self, number: int, metadata: dict[str, Any], values: dict[str, Any]) -> None:
        if self.claimed:
            phase = (Phase.COMPLETED, Phase.FAILED, Phase.WAITING_FOR_APPROVAL)[number % 3]
            await self.stores.settle(self.claimed.pop(), phase, values=dumps(values).decode())

    async def _write(self, number: int, metadata: dict[str, Any], values: dict[str, Any]) -> None:
        status = STATUSES[number % 4]
        status = "idle" if status == "busy" else status
        await self.stores.threads.set_state(self._chosen(number), status=status, values=values, interrupts={})

    async def _copy(self, number: int, metadata: dict[str, Any], values: dict[str, Any]) -> None:
        copied = await self.stores.threads.copy(
            self._chosen(number), new_id(), token=new_id(), metadata=metadata if number % 2 else None
        )
        self.threads.append(copied.thread_id)

    async def _delete(self, number: int, metadata: dict[str, Any], values: dict[str, Any]) -> None:
        await self.stores.threads.delete(self._chosen(number))

    async def _sweep(self, number: int, metadata: dict[str, Any], values: dict[str, Any]) -> None:
        await ThreadShardScripts(self.stores.pipeline, self.stores.shards.home).sweep(100)

    async def _hostile(self, number: int, metadata: dict[str, Any], values: dict[str, Any]) -> None:
        await self.stores.threads.patch(self._chosen(number), (MANY["many"], MANY["long_list"])[number % 2])

    async def every_thread(self) -> list[Thread]:
        ids = [each.decode() for each in await self.stores.pipeline.send("ZRANGE", self.stores.keys.threads, 0, -1)]
        records = [await self.stores.pipeline.send("HGETALL", self.stores.keys.thread(each)) for each in ids]
        return [thread_from(each, _fields(record)) for each, record in zip(ids, records, strict=True)]


def _fields(flat: Sequence[bytes]) -> dict[str, bytes]:
    return {name.decode(): value for name, value in zip(flat[::2], flat[1::2], strict=True)}


@dataclass(frozen=True, slots=True)
class Search:
    """A search of a client."""

    metadata: dict[str, Any] | None
    values: dict[str, Any] | None
    status: str | None
    access_filter: AccessFilter
    sort_by: str
    descending: bool
    limit: int
    offset: int

    @property
    def query(self) -> ThreadQuery:
        return ThreadQuery(
            metadata=self.metadata, values=self.values, status=self.status, access_filter=self.access_filter
        )

    def expected(self, threads: Sequence[Thread]) -> list[Thread]:
        """The matching threads in order, by comparison with every thread; `threads` are ordered by `updated_at`."""
        matching = [thread for thread in threads if self.query.matches(thread)]
        if self.descending:
            matching.reverse()
        if self.sort_by != "updated_at":
            matching.sort(key=lambda thread: str(getattr(thread, self.sort_by)), reverse=self.descending)
        return matching


SEARCH: Final = st.builds(
    Search,
    metadata=st.none() | METADATA,
    values=st.none() | CHANNELS,
    status=st.none() | st.sampled_from(STATUSES),
    access_filter=st.just(MATCH_ALL) | FILTER.map(parse_filter),
    sort_by=st.sampled_from(SORTABLE),
    descending=st.booleans(),
    limit=st.integers(1, 5),
    offset=st.integers(0, 3),
)


@hypothesis_settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(steps=st.lists(STEP, min_size=5, max_size=25), searches=st.lists(SEARCH, min_size=5, max_size=15))
def test_a_search_finds_what_a_comparison_with_every_thread_finds(
    valkey_url: str, steps: list[Any], searches: list[Search]
) -> None:
    asyncio.run(_check(valkey_url, steps, searches))


async def _check(valkey_url: str, steps: list[Any], searches: list[Search]) -> None:
    async with opened(valkey_url, Keys(f"search-{new_id()}")) as stores:
        world = World(stores)
        for step in steps:
            await world.take(*step)
        threads = await world.every_thread()
        assert await problems(stores) == []
        for limits in LIMITS:
            engine = ThreadSearch(stores.pipeline, stores.shards, max_checks=20_000, limits=limits)
            for search in searches:
                expected = search.expected(threads)
                page = await engine.page(
                    search.query,
                    limit=search.limit,
                    offset=search.offset,
                    sort_by=search.sort_by,
                    descending=search.descending,
                )
                assert page.complete
                assert page.records == expected[search.offset : search.offset + search.limit], search
                counted = await engine.count(search.query)
                assert (counted.number, counted.complete) == (len(expected), True), search


async def problems(stores: Stores, *, repair: bool = False) -> list[str]:
    """The threads that the indexes do not show as their records are, and those that they show wrongly."""
    check = ThreadIndexCheck(stores.pipeline, stores.shards, repair=repair)
    wrong = [thread_id async for page in check.check_all() for thread_id in page.wrong]
    return [*wrong, *[thread_id async for stale in check.check_sets() for thread_id in stale]]


SCALAR_VALUES: Final = st.dictionaries(
    st.text(min_size=1, max_size=3), SCALARS | st.text(min_size=MAX_VALUE_BYTES - 1, max_size=MAX_VALUE_BYTES + 1),
    max_size=MAX_VALUE_TERMS + 2,
)  # fmt: skip


@given(values=SCALAR_VALUES)
def test_values_have_the_same_terms_as_their_json(values: dict[str, Any]) -> None:
    text = dumps(values)
    stored = orjson.loads(text)
    assert value_terms(stored, text) == value_terms(None, text)


async def _found(stores: Stores, **query: Any) -> set[str]:
    """The threads that a search and a count agree on."""
    page = await stores.threads.search(ThreadQuery(**query), limit=100)
    assert (await stores.threads.count(ThreadQuery(**query))).number == len(page.records)
    return {thread.thread_id for thread in page.records}


async def test_threads_with_many_terms_are_found_and_counted(stores: Stores) -> None:
    few, many, long_list = [
        (await stores.threads.create_or_get(new_id(), {"owner": "ann", **metadata}))[0].thread_id
        for metadata in ({}, MANY["many"], MANY["long_list"])
    ]
    assert await _found(stores, metadata={"owner": "ann"}) == {few, many, long_list}
    assert await _found(stores, metadata={"owner": "bo"}) == set()
    assert await _found(stores, metadata={"m64": 64}) == {many}
    assert await _found(stores, metadata={"tags": [64]}) == {long_list}
    assert await _found(stores, metadata={"tags": [65]}) == set()


async def test_threads_with_many_terms_are_only_in_the_way_of_their_owner(stores: Stores) -> None:
    many = {f"m{number}": number for number in range(MAX_TERMS + 1)}
    for number in range(30):
        owner = {"owner": ["bo", "carl"] if number % 2 else "bo"}
        thread = (await stores.threads.create_or_get(new_id(), owner if number % 3 else owner | many))[0]
        if number % 3:  # the others become so
            await stores.threads.patch(thread.thread_id, metadata=many)
    anns = [(await stores.threads.create_or_get(new_id(), {"owner": "ann", "n": n}))[0].thread_id for n in (1, 2)]
    engine = ThreadSearch(stores.pipeline, stores.shards, max_checks=20, limits=Limits(gathered_at_once=0, step=5))
    for metadata, expected in (({"owner": "ann"}, anns), ({"owner": "ann", "n": 2}, anns[1:])):
        query = ThreadQuery(metadata=metadata)
        page = await engine.page(query, limit=10, offset=0, sort_by="updated_at", descending=True)
        assert ({thread.thread_id for thread in page.records}, page.complete) == (set(expected), True)
    assert len(await _found(stores, metadata={"owner": "bo"})) == 15
    assert len(await _found(stores, metadata={"owner": "bo", "m64": 64})) == 15
    assert len(await _found(stores, metadata={"owner": ["carl"]})) == 15
    assert len(await _found(stores, metadata={"m64": 64})) == 30


async def test_a_thread_with_many_terms_changes_its_owner(stores: Stores) -> None:
    many = {f"m{number}": number for number in range(MAX_TERMS + 1)}
    thread_id = (await stores.threads.create_or_get(new_id(), {"owner": "ann"} | many))[0].thread_id
    for owner in ("bo", None, ["carl"], "dora"):
        await stores.threads.patch(thread_id, metadata={"owner": owner, "m1": 1})
        assert await _found(stores, metadata={"owner": owner}) == {thread_id}
        assert await _found(stores, metadata={"owner": "ann"}) == set()
        check = ThreadIndexCheck(stores.pipeline, stores.shards, repair=False)
        assert await check.check([thread_id]) == []
    await stores.threads.patch(thread_id, metadata={f"n{number}": number for number in range(MAX_TERMS + 1)})
    assert await _found(stores, metadata={"owner": "dora", "n7": 7}) == {thread_id}


def test_scripts_know_the_term_of_many_members_and_the_digest_of_the_owner() -> None:
    text = library("terms")
    assert f"local MANY_MEMBERS = '{MANY_MEMBERS}'" in text
    assert f"local OWNER = '{member_digest(Space.METADATA, OWNER)}'" in text


async def test_equal_numbers_are_found_and_others_are_not(stores: Stores) -> None:
    one, whole, true, text = [
        (await stores.threads.create_or_get(new_id(), {"n": value}))[0].thread_id for value in (1, 1.0, True, "1")
    ]
    assert await _found(stores, metadata={"n": 1}) == await _found(stores, metadata={"n": 1.0}) == {one, whole}
    assert await _found(stores, metadata={"n": True}) == {true}
    assert await _found(stores, metadata={"n": "1"}) == {text}


async def test_the_oldest_threads_are_found_in_another_order(stores: Stores) -> None:
    """They are last in the order, so that a walk would read all others first."""
    old = [(await stores.threads.create_or_get(new_id(), {"owner": "ann"}))[0].thread_id for _ in range(3)]
    for _ in range(30):
        await stores.threads.create_or_get(new_id(), {"owner": "bo"})
    limits = Limits(gathered_at_once=0, step=5)
    engine = ThreadSearch(stores.pipeline, stores.shards, max_checks=20, limits=limits)
    query = ThreadQuery(metadata={"owner": "ann"})
    page = await engine.page(query, limit=10, offset=1, sort_by="created_at", descending=True)
    assert ([thread.thread_id for thread in page.records], page.complete) == ([old[1], old[0]], True)


async def test_no_index_names_a_thread_that_left_it(stores: Stores) -> None:
    thread_id = (await stores.threads.create_or_get(new_id(), {"owner": "ann"}))[0].thread_id
    await stores.create(new_run(thread_id))
    await stores.settle(await stores.claim_one(), values='{"topic": "ships"}')
    counts = {status: (await stores.threads.count(ThreadQuery(status=status))).number for status in STATUSES}
    assert counts == {"idle": 1, "busy": 0, "interrupted": 0, "error": 0}
    await stores.threads.delete(thread_id)
    for shard in stores.shards.threads:
        assert await stores.pipeline.send("KEYS", f"{shard.threads}*") == []


@pytest.mark.one_shard("it counts what is read of one index")
async def test_the_newest_of_many_old_threads_are_found_early(stores: Stores) -> None:
    """An order by creation needs no walk past all newer threads: what changed before was created before."""
    old = [(await stores.threads.create_or_get(new_id(), {"owner": "ann"}))[0].thread_id for _ in range(30)]
    for _ in range(30):
        await stores.threads.create_or_get(new_id(), {"owner": "bo"})
    limits = Limits(gathered_at_once=0, gathered=0, step=5)
    engine = ThreadSearch(stores.pipeline, stores.shards, max_checks=20, limits=limits)
    query = ThreadQuery(metadata={"owner": "ann"})
    page = await engine.page(query, limit=3, offset=1, sort_by="created_at", descending=True)
    assert ([thread.thread_id for thread in page.records], page.complete) == (old[-2:-5:-1], True)


async def test_a_list_is_found_by_an_empty_list(stores: Stores) -> None:
    values: tuple[Any, ...] = ([], [1, {"a": 2}], "none", {})
    for tags in values:
        await stores.threads.create_or_get(new_id(), {"tags": tags})
    count = await stores.threads.count(ThreadQuery(metadata={"tags": []}))
    assert (count.number, count.complete) == (2, True)
