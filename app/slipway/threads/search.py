"""Finds threads by id, status, metadata and values."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection
from dataclasses import dataclass
from typing import Any, Final

from slipway.access.filters import MATCH_ALL, AccessFilter
from slipway.json_comparison import contains
from slipway.redis.keys import Keys
from slipway.redis.pipeline import Pipeline
from slipway.threads.reads import ThreadReads
from slipway.threads.record import Thread, thread_from

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
        return (
            (self.status is None or thread.status == self.status)
            and (self.ids is None or thread.thread_id in self.ids)
            and (not self.metadata or contains(thread.metadata, self.metadata))
            and (not self.values or contains(thread.values or {}, self.values))
            and self.access_filter.matches(thread.metadata)
        )


class ThreadSearch:
    """Reads thread records in pages of the index of all threads; each page costs two round trips."""

    def __init__(self, pipeline: Pipeline, keys: Keys) -> None:
        self._reads = ThreadReads(pipeline, keys)

    async def page(
        self, query: ThreadQuery, *, limit: int, offset: int, sort_by: str, descending: bool
    ) -> list[Thread]:
        """`limit` matching threads from `offset` on. The index is ordered by `updated_at`: every other order reads all
        threads first."""
        if sort_by == "updated_at":
            found: list[Thread] = []
            async for thread in self._matching(query, descending):
                found.append(thread)
                if len(found) == offset + limit:
                    break
            return found[offset:]
        every = [thread async for thread in self._matching(query, descending)]
        every.sort(key=lambda thread: str(getattr(thread, sort_by)), reverse=descending)
        return every[offset : offset + limit]

    async def count(self, query: ThreadQuery) -> int:
        if query == ThreadQuery():
            return await self._reads.count()
        return len([thread async for thread in self._matching(query, descending=True)])

    async def _matching(self, query: ThreadQuery, descending: bool) -> AsyncIterator[Thread]:
        start = 0
        while True:
            ids = await self._reads.ids(start, start + _PAGE - 1, descending=descending)
            for thread_id, fields in zip(ids, await self._reads.records(ids), strict=True):
                if fields is not None and query.matches(thread := thread_from(thread_id, fields)):
                    yield thread
            if len(ids) < _PAGE:
                return
            start += _PAGE
