"""The same records in one and in several shards give the same pages, counts and order."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from slipway.indexes.query import Conjunction, IndexQuery
from slipway.indexes.scripts import IndexWalk, Position, Question
from slipway.indexes.search import Count, Found, IndexSearch, Limits
from slipway.indexes.walks import Walks
from slipway.redis.connection import Address
from slipway.redis.pipeline import Pipeline
from slipway.redis.server_pipeline import ServerPipeline
from slipway.redis.shards import Shards
from slipway.runs.record import new_id
from slipway.threads.scripts import THREAD_ORDERS, thread_walk

SHARDS: Final = 8
TERMS: Final = ("a", "b", "c")
WIDER: Final = "any"
"""The set of records whose term is not known, as of those with too many members."""

LIMITS: Final = (
    Limits(),
    Limits(gathered_at_once=0),
    Limits(gathered_at_once=0, step=3),
    Limits(gathered_at_once=3, gathered=0, step=3),
)
ORDERS: Final = ("updated_at", "created_at", "thread_id")


@dataclass(frozen=True, slots=True)
class Record:
    """A record in the indexes of threads. Times are few, so that many records have the same."""

    record_id: str
    updated: int
    created: int
    terms: frozenset[str]
    hidden: bool
    """Whether the indexes have only the wider term of the record."""

    def key(self, order: str) -> tuple[int, str]:
        """Its place in an order."""
        return {"updated_at": self.updated, "created_at": self.created, "thread_id": 0}[order], self.record_id


RECORDS: Final = st.lists(
    st.builds(
        lambda number, created, later, terms, rare: Record(
            str(UUID(int=number)), created + later, created, terms, hidden=rare == 0
        ),
        st.integers(0, 2**128 - 1),
        st.integers(0, 9),
        st.integers(0, 9),
        st.frozensets(st.sampled_from(TERMS)),
        st.integers(0, 19),
    ),
    max_size=60,
    unique_by=lambda record: record.record_id,
)
CONDITIONS: Final = st.lists(st.sampled_from(TERMS), max_size=2, unique=True)
QUERIES: Final = st.lists(CONDITIONS, min_size=1, max_size=2)


@dataclass(frozen=True, slots=True)
class AllRecords:
    """The records that a search compares: each that has all terms of one of the alternatives."""

    by_id: Mapping[str, Record]
    alternatives: Sequence[Sequence[str]]

    def match(self, record: Record) -> bool:
        return any(record.terms.issuperset(terms) for terms in self.alternatives)

    async def read(self, record_ids: Sequence[str]) -> list[Record | None]:
        records = [self.by_id[each] for each in record_ids]
        return [record if self.match(record) else None for record in records]

    async def matching(self, record_ids: Sequence[str]) -> list[str]:
        return [each for each in record_ids if self.match(self.by_id[each])]

    def query(self) -> IndexQuery:
        conjunctions: list[Conjunction] = [tuple((term, WIDER) for term in terms) for terms in self.alternatives]
        return IndexQuery(tuple(conjunctions))


async def store(pipeline: Pipeline, shards: Shards, records: Sequence[Record]) -> None:
    """Writes the entries of the indexes of threads, each in the shard of its record."""
    for record in records:
        keys = shards.of_thread(record.record_id)
        names = [WIDER] if record.hidden else sorted(record.terms)
        entries = [(keys.threads, record.updated), (keys.threads_created, record.created), (keys.threads_ids, 0)]
        for key, score in [*entries, *((keys.threads_with(name), record.updated) for name in names)]:
            await pipeline.send("ZADD", key, score, record.record_id)


@asynccontextmanager
async def one_and_many(url: str, records: Sequence[Record]) -> AsyncIterator[list[list[IndexWalk]]]:
    """The same records in one shard and in several."""
    pipeline = ServerPipeline(Address(url), "test", patience_s=5)
    await pipeline.open()
    try:
        both = [Shards(new_id()), Shards(new_id(), SHARDS)]
        await asyncio.gather(*(store(pipeline, shards, records) for shards in both))
        yield [[thread_walk(pipeline, keys) for keys in shards.threads] for shards in both]
    finally:
        await pipeline.close()


@given(
    RECORDS,
    QUERIES,
    st.sampled_from(ORDERS),
    st.booleans(),
    st.integers(1, 12),
    st.integers(0, 30),
    st.sampled_from(LIMITS),
)
@hypothesis_settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_pages_and_counts_are_those_of_one_shard(
    valkey_url: str,
    records: list[Record],
    alternatives: list[list[str]],
    order: str,
    descending: bool,
    limit: int,
    offset: int,
    limits: Limits,
) -> None:
    async def compare() -> None:
        compared = AllRecords({record.record_id: record for record in records}, alternatives)
        expected = sorted(filter(compared.match, records), key=lambda each: each.key(order), reverse=descending)
        async with one_and_many(valkey_url, records) as both:
            for shards in both:
                search = IndexSearch(shards, max_checks=100_000, limits=limits)
                page = await search.page(
                    [compared.query()],
                    compared,
                    THREAD_ORDERS[order],
                    descending=descending,
                    limit=limit,
                    offset=offset,
                )
                assert page == Found(expected[offset : offset + limit])
                count = await search.count(compared.query(), compared, THREAD_ORDERS["updated_at"])
                assert count == Count(len(expected))

    asyncio.run(compare())


@given(RECORDS, CONDITIONS, st.booleans(), st.lists(st.integers(1, 5), min_size=1, max_size=5), st.integers(1, 40))
@hypothesis_settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_walk_continues_at_the_position_of_any_step(
    valkey_url: str, records: list[Record], terms: list[str], descending: bool, steps: list[int], checks: int
) -> None:
    """As the next page of a client does: a new walk begins after the last entry, also after one of another shard."""

    async def compare() -> None:
        compared = AllRecords({record.record_id: record for record in records}, [terms])
        order = THREAD_ORDERS["updated_at"]
        question = Question(compared.query(), order, descending)
        candidates = [each for each in records if compared.match(each) or (each.hidden and terms)]
        expected = sorted(candidates, key=lambda each: each.key("updated_at"), reverse=descending)
        async with one_and_many(valkey_url, records) as both:
            for shards in both:
                found: list[str] = []
                position: Position | None = None
                while True:
                    walk = Walks(shards).start(question, after=position)
                    for limit in steps:
                        step = await walk.step(limit=limit, checks=checks)
                        assert len(step.ids) <= limit
                        found += step.ids
                        position = step.position
                        if position is None:
                            break
                    if position is None:
                        break
                assert found == [each.record_id for each in expected]

    asyncio.run(compare())


def test_the_share_of_a_shard_is_rarely_exceeded(valkey_url: str) -> None:
    """The first page among many records takes one round trip of the indexes, and few entries are read in vain."""
    records = [Record(new_id(), number, number, frozenset("a"), hidden=False) for number in range(2000)]

    async def read() -> None:
        async with one_and_many(valkey_url, records) as (_, shards):
            question = Question(IndexQuery(((("a",),),)), THREAD_ORDERS["updated_at"], descending=True)
            step = await Walks(shards).start(question).step(limit=10, checks=1000)
            assert step.ids == [each.record_id for each in records[:-11:-1]]
            assert step.checks < 100

    asyncio.run(read())
