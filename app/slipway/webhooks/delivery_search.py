"""Finds deliveries, with the index of deliveries, and the cursor with which a client continues a list of them.

A page continues at a position in the order of creation. Deliveries that are created or end meanwhile do not move the
others, so none is skipped or comes twice.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from slipway.indexes.cursor import cursor_of, position_in
from slipway.indexes.query import AnyOf, IndexQuery
from slipway.indexes.scripts import Position, Question
from slipway.indexes.search import RECORD_CHECKS
from slipway.indexes.walks import STEP_CHECKS, Walks
from slipway.redis.pipeline import Pipeline
from slipway.redis.shards import Shards
from slipway.serialization.json_encoding import dumps
from slipway.webhooks.delivery_reads import DeliveryReads
from slipway.webhooks.delivery_summary import DeliveryState, DeliverySummary
from slipway.webhooks.scripts import delivery_walk

_CANDIDATES: Final = 200
"""How many deliveries are read at a time after the first ones were not enough for a page."""


@dataclass(frozen=True, slots=True)
class DeliveryQuery:
    """The conditions of a search; None and an empty set match every delivery. Times are in µs."""

    states: frozenset[DeliveryState] = frozenset()
    endpoint_id: str | None = None
    type: str | None = None
    run_id: str | None = None
    owner: str | None = None
    """Only deliveries that this owner may see."""
    created_from_us: int | None = None
    created_before_us: int | None = None

    def matches(self, delivery: DeliverySummary) -> bool:
        return (
            (not self.states or delivery.state in self.states)
            and self.endpoint_id in (None, delivery.endpoint_id)
            and self.type in (None, delivery.type)
            and self.run_id in (None, delivery.run_id)
            and self.owner in (None, delivery.owner)
            and (self.created_from_us is None or delivery.created_us >= self.created_from_us)
            and (self.created_before_us is None or delivery.created_us < self.created_before_us)
        )

    def in_sets(self) -> IndexQuery:
        """The query without its times, for the index."""
        conditions: list[AnyOf] = [
            *([] if self.endpoint_id is None else [(f"endpoint:{self.endpoint_id}",)]),
            *([] if self.type is None else [(f"type:{self.type}",)]),
            *([] if self.run_id is None else [(f"run:{self.run_id}",)]),
            *([] if self.owner is None else [(f"owner:{_digest(self.owner)}",)]),
            *([tuple(sorted(self.states))] if self.states else []),
        ]
        return IndexQuery((tuple(conditions),), exact=False)

    def digest(self, *, oldest_first: bool) -> str:
        """Of all conditions: a cursor is for a page of the same list."""
        conditions = [
            sorted(self.states), self.endpoint_id, self.type, self.run_id, self.owner,
            self.created_from_us, self.created_before_us, oldest_first,
        ]  # fmt: skip
        return hashlib.sha256(dumps(conditions)).hexdigest()[:12]


@dataclass(frozen=True, slots=True)
class DeliveryPage:
    """Some deliveries, and the cursor of the next page. A page can have fewer than were wanted, even none, because a
    search that reads too much stops. Only `next` says whether there is a next page."""

    deliveries: list[DeliverySummary]
    next: str | None


class DeliverySearch:
    """Searches deliveries. `max_checks` bounds a page: the entries of the index that it reads, and `RECORD_CHECKS` for
    each record that it reads in vain."""

    def __init__(self, pipeline: Pipeline, shards: Shards, *, max_checks: int) -> None:
        self._reads, self._max_checks = DeliveryReads(pipeline, shards.records), max_checks
        self._walks = Walks([delivery_walk(pipeline, keys) for keys in shards.threads])

    async def page(
        self, query: DeliveryQuery, *, limit: int, cursor: str | None = None, oldest_first: bool = False
    ) -> DeliveryPage:
        """`limit` deliveries, the newest first unless `oldest_first`. Usually two round trips. Raises `InvalidRequest`
        for a cursor of another list."""
        digest = query.digest(oldest_first=oldest_first)
        position = _start(query, oldest_first) if cursor is None else position_in(cursor, digest)
        question = Question(query.in_sets(), self._walks.own_order, descending=not oldest_first)
        walk = self._walks.start(question, after=position)
        found: list[DeliverySummary] = []
        checks, wanted = self._max_checks, limit
        while True:
            step = await walk.step(limit=wanted, checks=STEP_CHECKS)
            matching = [each for each in await self.read(step.ids) if each is not None and query.matches(each)]
            if len(found) + len(matching) > limit:
                found += matching[: limit - len(found)]
                position = Position(str(found[-1].created_us), found[-1].delivery_id)
                break
            found += matching
            position = None if _is_beyond(step.position, query, oldest_first) else step.position
            checks -= step.checks + RECORD_CHECKS * (len(step.ids) - len(matching))
            if position is None or len(found) == limit or checks <= 0:
                break
            wanted = max(limit, _CANDIDATES)
        return DeliveryPage(found, None if position is None else cursor_of(position, digest))

    async def read(self, delivery_ids: Sequence[str]) -> list[DeliverySummary | None]:
        """In the order of the ids; None for each that does not exist."""
        return await self._reads.summaries(delivery_ids)


def _digest(owner: str) -> str:
    return hashlib.sha1(owner.encode(), usedforsecurity=False).hexdigest()


def _start(query: DeliveryQuery, oldest_first: bool) -> Position | None:
    """The position before the first delivery that can match."""
    bound_us = query.created_from_us if oldest_first else query.created_before_us
    return None if bound_us is None else Position(str(max(bound_us, 0)), "")


def _is_beyond(end: Position | None, query: DeliveryQuery, oldest_first: bool) -> bool:
    """Whether no delivery after this position can match."""
    if end is None:
        return True
    created_us = float(end.score)
    if oldest_first:
        return query.created_before_us is not None and created_us >= query.created_before_us
    return query.created_from_us is not None and created_us < query.created_from_us
