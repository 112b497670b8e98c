"""Finds reviews, with the indexes of reviews, and the cursor with which a client continues a list of them.

A page continues at a position in the order of creation. Reviews that are opened or decided meanwhile do not move the
others, so none is skipped or comes twice.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from slipway.errors import InvalidRequest
from slipway.indexes.query import AnyOf, IndexQuery
from slipway.indexes.scripts import Position
from slipway.indexes.search import RECORD_CHECKS, STEP_CHECKS
from slipway.redis.keys import Keys
from slipway.redis.pipeline import Pipeline
from slipway.reviews.reads import ReviewReads
from slipway.reviews.record import Review, ReviewState, assignee_term, graph_term, group_term, review_from
from slipway.reviews.scripts import review_order, review_walk

_CANDIDATES = 200
"""How many reviews are read at a time after the first ones were not enough for a page."""


@dataclass(frozen=True, slots=True)
class ReviewQuery:
    """The conditions of a search; None and an empty set match every review. Times are in µs."""

    states: frozenset[ReviewState] = frozenset()
    graph_id: str | None = None
    assignee: str | None = None
    group: str | None = None
    """Whose members may decide. Reviews that everybody may decide have no group, and do not match."""
    due_before_us: int | None = None
    created_before_us: int | None = None
    """Only older reviews."""
    created_from_us: int | None = None

    def matches(self, review: Review) -> bool:
        due_us, bound_us = review.due_us, self.due_before_us
        return (
            (not self.states or review.state in self.states)
            and self.graph_id in (None, review.graph_id)
            and self.assignee in (None, review.assignee)
            and (self.group is None or self.group in review.groups)
            and (bound_us is None or (due_us is not None and due_us < bound_us))
            and (self.created_before_us is None or review.created_us < self.created_before_us)
            and (self.created_from_us is None or review.created_us >= self.created_from_us)
        )

    def in_terms(self) -> IndexQuery:
        """The query without its times, for the indexes."""
        conditions: list[AnyOf] = [
            *([] if self.graph_id is None else [(graph_term(self.graph_id),)]),
            *([] if self.assignee is None else [(assignee_term(self.assignee),)]),
            *([] if self.group is None else [(group_term(self.group),)]),
            *([tuple(sorted(self.states))] if self.states else []),
        ]
        return IndexQuery((tuple(conditions),), exact=False)

    def digest(self, *, oldest_first: bool) -> str:
        """Of all conditions: a cursor is for a page of the same list."""
        return hashlib.sha256(repr((sorted(self.states), self, oldest_first)).encode()).hexdigest()[:12]


@dataclass(frozen=True, slots=True)
class ReviewPage:
    """Some reviews, and the cursor of the next page: None at the end. A page can have fewer reviews than were wanted,
    because a search that reads too much stops."""

    reviews: list[Review]
    next: str | None


class ReviewSearch:
    """Searches reviews. `max_checks` bounds a page: the entries of indexes that it reads, and `RECORD_CHECKS` for each
    review that it reads in vain."""

    def __init__(self, pipeline: Pipeline, keys: Keys, *, max_checks: int) -> None:
        self._reads, self._walk = ReviewReads(pipeline, keys), review_walk(pipeline, keys)
        self._order, self._max_checks = review_order(keys), max_checks

    async def page(
        self, query: ReviewQuery, *, limit: int, cursor: str | None = None, oldest_first: bool = True
    ) -> ReviewPage:
        """`limit` reviews, the oldest first unless asked otherwise. Usually two round trips. Raises `InvalidRequest`
        for a cursor of another list."""
        digest = query.digest(oldest_first=oldest_first)
        position = None if cursor is None else _position_in(cursor, digest)
        reviews: list[Review] = []
        checks, wanted = self._max_checks, limit
        while True:
            step = await self._walk.step(
                query.in_terms(),
                self._order,
                descending=not oldest_first,
                after=position,
                limit=wanted,
                skip=0,
                checks=STEP_CHECKS,
                gather=0,
                gathers=False,
            )
            matching = await self._matching(step.ids, query)
            if len(reviews) + len(matching) > limit:
                reviews += matching[: limit - len(reviews)]
                position = Position(str(reviews[-1].created_us), reviews[-1].review_id)
                break
            reviews += matching
            position = step.position
            checks -= step.checks + RECORD_CHECKS * (len(step.ids) - len(matching))
            if position is None or len(reviews) == limit or checks <= 0:
                break
            wanted = max(limit, _CANDIDATES)
        return ReviewPage(reviews, None if position is None else _cursor_of(position, digest))

    async def _matching(self, review_ids: Sequence[str], query: ReviewQuery) -> list[Review]:
        records = await self._reads.records(review_ids) if review_ids else []
        reviews = [review_from(fields) for fields in records if fields is not None]
        return [review for review in reviews if query.matches(review)]


def _cursor_of(position: Position, digest: str) -> str:
    """The position as a text for clients, who must not interpret it."""
    return base64.urlsafe_b64encode(orjson.dumps([position.score, position.record_id, digest])).decode()


def _position_in(cursor: str, digest: str) -> Position:
    try:
        parts: Any = orjson.loads(base64.b64decode(cursor, altchars=b"-_", validate=True))
        score, review_id, of = parts
        float(score)
    except (binascii.Error, ValueError, TypeError):
        raise InvalidRequest("cursor", "is not the member `next` of a page") from None
    if of != digest or not isinstance(review_id, str):
        raise InvalidRequest("cursor", "belongs to a list with other conditions; a page continues the same list")
    return Position(str(score), review_id)
