"""Finds threads by id, status, metadata and values, with the indexes of threads."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any, Final

from slipway.access.filters import MATCH_ALL, AccessFilter
from slipway.indexes.query import EVERY_RECORD, IndexQuery, contained, filtered, in_set
from slipway.indexes.search import Count, Found, IndexSearch, Limits
from slipway.indexes.terms import Space
from slipway.json_comparison import contains
from slipway.redis.pipeline import Pipeline
from slipway.redis.shards import Shards
from slipway.threads.reads import ThreadReads
from slipway.threads.record import STATUSES, Thread, thread_from
from slipway.threads.scripts import THREAD_ORDERS, thread_walk

_PAGE: Final = 200


@dataclass(frozen=True, slots=True)
class ThreadQuery:
    """The conditions of a search; None matches every thread. Metadata and values match by containment."""

    ids: Collection[str] | None = None
    metadata: dict[str, Any] | None = None
    values: dict[str, Any] | None = None
    status: str | None = None
    access_filter: AccessFilter = MATCH_ALL

    def matches(self, thread: Thread) -> bool:
        return self.matches_parts(thread.thread_id, thread.status, thread.metadata, thread.values)

    def matches_parts(
        self, thread_id: str, status: str, metadata: dict[str, Any], values: dict[str, Any] | None
    ) -> bool:
        """Whether a thread with these parts matches. Members that `member_names` does not name may be missing from
        the metadata, and the values if the query has none."""
        return (
            (self.status is None or status == self.status)
            and (self.ids is None or thread_id in self.ids)
            and (not self.metadata or contains(metadata, self.metadata))
            and (not self.values or contains(values or {}, self.values))
            and self.access_filter.matches(metadata)
        )

    def member_names(self) -> list[str]:
        """The metadata members that the query compares."""
        return sorted(self.access_filter.member_names() | (self.metadata or {}).keys())

    def in_terms(self) -> IndexQuery:
        """The query without the ids, for the indexes of threads."""
        return (
            (EVERY_RECORD if self.status is None else in_set(self.status))
            & contained(Space.METADATA, self.metadata or {})
            & contained(Space.VALUES, self.values or {})
            & filtered(self.access_filter)
        )


@dataclass(frozen=True, slots=True)
class _MatchingThreads:
    """The threads that match a query, for `IndexSearch`."""

    reads: ThreadReads
    query: ThreadQuery

    async def read(self, record_ids: Sequence[str]) -> list[Thread | None]:
        records = await self.reads.records(record_ids)
        threads = [
            None if fields is None else thread_from(thread_id, fields)
            for thread_id, fields in zip(record_ids, records, strict=True)
        ]
        return [thread if thread is not None and self.query.matches(thread) else None for thread in threads]

    async def matching(self, record_ids: Sequence[str]) -> list[str]:
        compared = await self.reads.compared(record_ids, self.query.member_names(), values=bool(self.query.values))
        return [
            thread_id
            for thread_id, parts in zip(record_ids, compared, strict=True)
            if parts is not None and self.query.matches_parts(thread_id, parts.status, parts.metadata, parts.values)
        ]


class ThreadSearch:
    """Searches threads. The first page usually takes two round trips: the indexes, and the records. `max_checks` and
    `limits` bound a search: see `IndexSearch`."""

    def __init__(self, pipeline: Pipeline, shards: Shards, *, max_checks: int, limits: Limits | None = None) -> None:
        self._reads = ThreadReads(pipeline, shards.records)
        walks = [thread_walk(pipeline, keys) for keys in shards.threads]
        self._search = IndexSearch(walks, max_checks=max_checks, limits=limits)

    async def page(
        self, query: ThreadQuery, *, limit: int, offset: int, sort_by: str, descending: bool
    ) -> Found[Thread]:
        """`limit` matching threads from `offset` on. Threads of the same status are ordered by `updated_at`."""
        if query.ids is not None:
            threads = await self._with_ids(query.ids, query)
            threads.sort(key=lambda thread: thread.updated_at, reverse=descending)
            threads.sort(key=lambda thread: str(getattr(thread, sort_by)), reverse=descending)
            return Found(threads[offset : offset + limit])
        return await self._search.page(
            self._queries(query, sort_by, descending),
            _MatchingThreads(self._reads, query),
            THREAD_ORDERS[sort_by],
            descending=descending,
            limit=limit,
            offset=offset,
        )

    async def count(self, query: ThreadQuery) -> Count:
        """How many threads match."""
        if query.ids is not None:
            return Count(len(await self._with_ids(query.ids, query)))
        return await self._search.count(
            query.in_terms(), _MatchingThreads(self._reads, query), THREAD_ORDERS["updated_at"]
        )

    @staticmethod
    def _queries(query: ThreadQuery, sort_by: str, descending: bool) -> list[IndexQuery]:
        if sort_by != "status":
            return [query.in_terms()]
        statuses = [query.status] if query.status else sorted(STATUSES, reverse=descending)
        return [query.in_terms() & in_set(status) for status in statuses]

    async def _with_ids(self, ids: Collection[str], query: ThreadQuery) -> list[Thread]:
        matching, unique = _MatchingThreads(self._reads, query), list(dict.fromkeys(ids))
        threads: list[Thread] = []
        for first in range(0, len(unique), _PAGE):
            threads += [each for each in await matching.read(unique[first : first + _PAGE]) if each is not None]
        return threads
