"""Finds the stored assistants of clients, with the indexes of assistants."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from slipway.access.filters import MATCH_ALL, AccessFilter
from slipway.assistants.reads import AssistantReads
from slipway.assistants.record import Assistant, access_metadata_of_system, assistant_from
from slipway.assistants.scripts import ASSISTANT_ORDERS, GRAPH, assistant_walk
from slipway.indexes.query import EVERY_RECORD, IndexQuery, contained, filtered, in_set
from slipway.indexes.search import Count, Found, IndexSearch
from slipway.indexes.terms import Space
from slipway.json_comparison import contains
from slipway.redis.keys import Keys
from slipway.redis.pipeline import Pipeline

SORTED_HERE: Final = 500
"""The most assistants that are read completely to sort them by a text."""

_NAMES_PER_CHECK: Final = 10
"""How many names count as one entry of an index that a search reads."""


@dataclass(frozen=True, slots=True)
class AssistantQuery:
    """The conditions of a search; None matches every assistant. Metadata matches by containment, `name` anywhere in the
    name, in any case."""

    metadata: dict[str, Any] | None = None
    graph_id: str | None = None
    name: str | None = None
    access_filter: AccessFilter = MATCH_ALL

    def matches(self, assistant: Assistant, *, is_system: bool = False) -> bool:
        metadata = access_metadata_of_system(assistant) if is_system else assistant.metadata
        return (
            self.graph_id in (None, assistant.graph_id)
            and contains(assistant.metadata, self.metadata or {})
            and self.access_filter.matches(metadata)
            and (self.name or "").casefold() in assistant.name.casefold()
        )

    def in_terms(self) -> IndexQuery:
        """The query without the name, for the indexes of assistants."""
        return (
            (EVERY_RECORD if self.graph_id is None else in_set(GRAPH + self.graph_id))
            & contained(Space.METADATA, self.metadata or {})
            & filtered(self.access_filter)
        )


@dataclass(frozen=True, slots=True)
class _MatchingAssistants:
    """The assistants that match a query, for `IndexSearch`."""

    reads: AssistantReads
    query: AssistantQuery

    async def read(self, record_ids: Sequence[str]) -> list[Assistant | None]:
        records = zip(record_ids, await self.reads.records(record_ids), strict=True)
        assistants = [None if fields is None else assistant_from(each, fields) for each, fields in records]
        return [each if each is not None and self.query.matches(each) else None for each in assistants]

    async def matching(self, record_ids: Sequence[str]) -> list[str]:
        return [each.assistant_id for each in await self.read(record_ids) if each is not None]


class AssistantSearch:
    """Searches stored assistants. The first page usually takes two round trips. `max_checks` bounds a search: see
    `IndexSearch`."""

    def __init__(self, pipeline: Pipeline, keys: Keys, *, max_checks: int) -> None:
        self._reads, self._max_checks = AssistantReads(pipeline, keys), max_checks
        self._search = IndexSearch([assistant_walk(pipeline, keys)], max_checks=max_checks)

    async def page(
        self, query: AssistantQuery, *, limit: int, offset: int, sort_by: str, descending: bool
    ) -> Found[Assistant]:
        """`limit` matching assistants from `offset` on."""
        few = await self._few(query, sort_by)
        if few is not None:
            few.sort(key=lambda assistant: (str(getattr(assistant, sort_by)), assistant.assistant_id))
            return Found((few[::-1] if descending else few)[offset : offset + limit])
        return await self._search.page(
            [_in_terms(query)],
            _MatchingAssistants(self._reads, query),
            ASSISTANT_ORDERS[sort_by],
            descending=descending,
            limit=limit,
            offset=offset,
        )

    async def count(self, query: AssistantQuery) -> Count:
        """How many assistants match."""
        if query.name:
            few = await self._few(query, "name")
            if few is not None:
                return Count(len(few))
            if query.in_terms() == EVERY_RECORD and (all_named := await self._with_name(query, None)) is not None:
                return Count(len(all_named))
        records = _MatchingAssistants(self._reads, query)
        return await self._search.count(_in_terms(query), records, ASSISTANT_ORDERS["created_at"])

    async def _few(self, query: AssistantQuery, sort_by: str) -> list[Assistant] | None:
        """All assistants that match, if they are few and none of the indexes has them in order. None: the order is to
        be read."""
        records = _MatchingAssistants(self._reads, query)
        if query.name:
            named = await self._with_name(query, SORTED_HERE)
            return None if named is None else [each for each in await records.read(named) if each is not None]
        if not ASSISTANT_ORDERS[sort_by].by_text or query.in_terms() == EVERY_RECORD:
            return None
        found = await self._search.page(
            [query.in_terms()],
            records,
            ASSISTANT_ORDERS["created_at"],
            descending=True,
            limit=SORTED_HERE + 1,
            offset=0,
        )
        return found.records if found.complete and len(found.records) <= SORTED_HERE else None

    async def _with_name(self, query: AssistantQuery, most: int | None) -> list[str] | None:
        """The assistants whose names match; None if there are more than `most`, or too many names to read them."""
        if await self._reads.count() > self._max_checks * _NAMES_PER_CHECK:
            return None
        found: list[str] = []
        async for assistant_ids in self._reads.with_name(query.name or ""):
            found += assistant_ids
            if most is not None and len(found) > most:
                return None
        return found


def _in_terms(query: AssistantQuery) -> IndexQuery:
    return replace(query.in_terms(), exact=False) if query.name else query.in_terms()
