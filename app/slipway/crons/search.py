"""Finds crons, with the indexes of crons."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from slipway.access.filters import MATCH_ALL, AccessFilter
from slipway.crons.reads import CronReads
from slipway.crons.record import Cron, cron_from
from slipway.crons.scripts import CRON_ORDERS, cron_walk
from slipway.indexes.query import EVERY_RECORD, IndexQuery, all_of, contained, filtered, member_equals
from slipway.indexes.search import Count, Found, IndexSearch
from slipway.indexes.terms import Space
from slipway.json_comparison import contains
from slipway.redis.keys import Keys
from slipway.redis.pipeline import Pipeline

SORTED_HERE: Final = 500
"""The most crons that are read completely to sort them."""


@dataclass(frozen=True, slots=True)
class CronQuery:
    """The conditions of a search; None matches every cron. Metadata matches by containment."""

    assistant_id: str | None = None
    thread_id: str | None = None
    enabled: bool | None = None
    metadata: dict[str, Any] | None = None
    access_filter: AccessFilter = MATCH_ALL

    def matches(self, cron: Cron) -> bool:
        return (
            self.assistant_id in (None, cron.assistant_id)
            and self.thread_id in (None, cron.thread_id)
            and self.enabled in (None, cron.enabled)
            and contains(cron.metadata, self.metadata or {})
            and self.access_filter.matches(cron.metadata)
        )

    def in_terms(self) -> IndexQuery:
        """The query for the indexes of crons."""
        members = {"assistant_id": self.assistant_id, "thread_id": self.thread_id, "enabled": self.enabled}
        return all_of(
            [
                *(member_equals(Space.RECORD, name, each) for name, each in members.items() if each is not None),
                contained(Space.METADATA, self.metadata or {}),
                filtered(self.access_filter),
            ]
        )


@dataclass(frozen=True, slots=True)
class _MatchingCrons:
    """The crons that match a query, for `IndexSearch`."""

    reads: CronReads
    query: CronQuery
    now_ms: int

    async def read(self, record_ids: Sequence[str]) -> list[Cron | None]:
        records = await self.reads.records(record_ids)
        crons = [None if fields is None else cron_from(fields, self.now_ms) for fields in records]
        return [cron if cron is not None and self.query.matches(cron) else None for cron in crons]

    async def matching(self, record_ids: Sequence[str]) -> list[str]:
        return [cron.cron_id for cron in await self.read(record_ids) if cron is not None]


class CronSearch:
    """Searches crons. The first page usually takes two round trips. `max_checks` bounds a search: see `IndexSearch`."""

    def __init__(self, pipeline: Pipeline, keys: Keys, *, max_checks: int) -> None:
        self._reads = CronReads(pipeline, keys)
        self._search = IndexSearch([cron_walk(pipeline, keys)], max_checks=max_checks)

    async def page(
        self, query: CronQuery, now_ms: int, *, limit: int, offset: int, sort_by: str, descending: bool
    ) -> Found[Cron]:
        """`limit` matching crons from `offset` on."""
        if sort_by == "next_run_date" and query.enabled is not True:
            return await self._by_next_run(query, now_ms, limit=limit, offset=offset, descending=descending)
        if CRON_ORDERS[sort_by].by_text and query.in_terms() != EVERY_RECORD:
            few = await self._first(query, now_ms)
            if few.complete and len(few.records) <= SORTED_HERE:
                return Found(_sorted(few.records, sort_by, descending=descending)[offset : offset + limit])
        return await self._ordered(query, now_ms, limit=limit, offset=offset, sort_by=sort_by, descending=descending)

    async def count(self, query: CronQuery, now_ms: int) -> Count:
        """How many crons match."""
        records = _MatchingCrons(self._reads, query, now_ms)
        return await self._search.count(query.in_terms(), records, CRON_ORDERS["created_at"])

    async def _ordered(
        self, query: CronQuery, now_ms: int, *, limit: int, offset: int, sort_by: str, descending: bool
    ) -> Found[Cron]:
        return await self._search.page(
            [query.in_terms()],
            _MatchingCrons(self._reads, query, now_ms),
            CRON_ORDERS[sort_by],
            descending=descending,
            limit=limit,
            offset=offset,
        )

    async def _first(self, query: CronQuery, now_ms: int) -> Found[Cron]:
        """One more than can be sorted here."""
        return await self._ordered(
            query, now_ms, limit=SORTED_HERE + 1, offset=0, sort_by="created_at", descending=True
        )

    async def _by_next_run(
        self, query: CronQuery, now_ms: int, *, limit: int, offset: int, descending: bool
    ) -> Found[Cron]:
        """The due time that a disabled cron would have is computed when it is read, so no index has it: disabled crons
        are read completely, and merged with the page of the enabled ones."""
        disabled = await self._first(replace(query, enabled=False), now_ms)
        enabled: Found[Cron] = Found([])
        skipped = max(offset - len(disabled.records), 0)  # as many enabled ones come before the page in any case
        if query.enabled is None:
            enabled = await self._ordered(
                replace(query, enabled=True),
                now_ms,
                limit=limit + len(disabled.records),
                offset=skipped,
                sort_by="next_run_date",
                descending=descending,
            )
        else:
            skipped = 0
        found = _sorted([*disabled.records, *enabled.records], "next_run_date", descending=descending)
        first = offset - skipped
        complete = disabled.complete and enabled.complete and len(disabled.records) <= SORTED_HERE
        return Found(found[first : first + limit], complete)


def _sorted(crons: Sequence[Cron], sort_by: str, *, descending: bool) -> list[Cron]:
    return sorted(crons, key=lambda cron: (str(getattr(cron, sort_by) or ""), cron.cron_id), reverse=descending)
