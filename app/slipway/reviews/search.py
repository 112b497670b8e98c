"""Finds reviews, with the indexes of reviews, and the cursor with which a client continues a list of them.

A page continues at a position in the order of creation or of due times, neither of which changes. Reviews that are
opened or decided meanwhile do not move the others, so none is skipped or comes twice.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from slipway.errors import InvalidRequest
from slipway.indexes.cursor import cursor_of, position_in
from slipway.indexes.query import AnyOf, IndexQuery
from slipway.indexes.scripts import Position, Question
from slipway.indexes.search import RECORD_CHECKS
from slipway.indexes.walks import STEP_CHECKS, Walks
from slipway.redis.pipeline import Pipeline
from slipway.redis.shards import Shards
from slipway.reviews.reads import ReviewReads
from slipway.reviews.record import (
    UNDECIDED,
    Review,
    ReviewState,
    assignee_term,
    graph_term,
    group_term,
    owner_term,
    review_from,
)
from slipway.reviews.scripts import ORDER_OF_DUE_TIMES, review_walk

_CANDIDATES = 200
"""How many reviews are read at a time after the first ones were not enough for a page."""


class ReviewOrder(StrEnum):
    """Which review is the first. `DUE`: the one with the earliest due time; those without one are the last. Only
    undecided reviews have this order."""

    OLDEST = "oldest"
    NEWEST = "newest"
    DUE = "due"


@dataclass(frozen=True, slots=True)
class ReviewQuery:
    """The conditions of a search; None and an empty set match every review. Times are in µs."""

    states: frozenset[ReviewState] = frozenset()
    graph_id: str | None = None
    assignee: str | None = None
    group: str | None = None
    """Whose members may decide. Reviews that everybody may decide have no group, and do not match."""
    due_before_us: int | None = None
    owner: str | None = None
    """Restricted to this owner."""
    created_before_us: int | None = None
    """Only older reviews."""
    created_from_us: int | None = None

    def matches(self, review: Review) -> bool:
        due_us, bound_us = review.due_us, self.due_before_us
        return (
            (not self.states or review.state in self.states)
            and self.graph_id in (None, review.graph_id)
            and self.assignee in (None, review.assignee)
            and self.owner in (None, review.restricted_to)
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
            *([] if self.owner is None else [(owner_term(self.owner),)]),
            *([] if self.group is None else [(group_term(self.group),)]),
            *([tuple(sorted(self.states))] if self.states else []),
        ]
        return IndexQuery((tuple(conditions),), exact=False)

    def ordered(self, order: ReviewOrder) -> ReviewQuery:
        """The same query, for undecided reviews only if the order demands it. Raises `InvalidRequest` for another
        state."""
        if order is not ReviewOrder.DUE:
            return self
        if not self.states <= UNDECIDED:
            known = sorted(UNDECIDED)
            raise InvalidRequest("state", "has no order by due time, because the review is decided", known)
        return self if self.states else replace(self, states=UNDECIDED)

    def digest(self, order: ReviewOrder) -> str:
        """Of all conditions: a cursor is for a page of the same list."""
        others = replace(self, states=frozenset())  # whose order differs between processes
        return hashlib.sha256(repr((sorted(self.states), others, order.value)).encode()).hexdigest()[:12]


@dataclass(frozen=True, slots=True)
class ReviewPage:
    """Some reviews, and the cursor of the next page: None at the end. A page can have fewer reviews than were wanted,
    because a search that reads too much stops."""

    reviews: list[Review]
    next: str | None


class ReviewSearch:
    """Searches reviews. `max_checks` bounds a page: the entries of indexes that it reads, and `RECORD_CHECKS` for each
    review that it reads in vain."""

    def __init__(self, pipeline: Pipeline, shards: Shards, *, max_checks: int) -> None:
        self._reads, self._max_checks = ReviewReads(pipeline, shards.records), max_checks
        self._walks = Walks([review_walk(pipeline, keys) for keys in shards.threads])

    async def page(
        self,
        query: ReviewQuery,
        *,
        limit: int,
        cursor: str | None = None,
        order: ReviewOrder = ReviewOrder.OLDEST,
    ) -> ReviewPage:
        """`limit` reviews. Usually two round trips. Raises `InvalidRequest` for a cursor of another list, and for a
        state that has no such order."""
        query = query.ordered(order)
        digest = query.digest(order)
        position = None if cursor is None else position_in(cursor, digest)
        by_due = order is ReviewOrder.DUE
        index_order = ORDER_OF_DUE_TIMES if by_due else self._walks.own_order
        question = Question(query.in_terms(), index_order, descending=order is ReviewOrder.NEWEST)
        walk = self._walks.start(question, after=position, gathers=False)
        reviews: list[Review] = []
        checks, wanted = self._max_checks, limit
        while True:
            step = await walk.step(limit=wanted, checks=STEP_CHECKS)
            matching = await self._matching(step.ids, query)
            if len(reviews) + len(matching) > limit:
                reviews += matching[: limit - len(reviews)]
                last = reviews[-1]
                position = Position(str(last.due_score if by_due else last.created_us), last.review_id)
                break
            reviews += matching
            position = step.position
            checks -= step.checks + RECORD_CHECKS * (len(step.ids) - len(matching))
            if by_due and query.due_before_us is not None and position is not None:
                position = position if float(position.score) < query.due_before_us else None  # the others are due later
            if position is None or len(reviews) == limit or checks <= 0:
                break
            wanted = max(limit, _CANDIDATES)
        return ReviewPage(reviews, None if position is None else cursor_of(position, digest))

    async def _matching(self, review_ids: Sequence[str], query: ReviewQuery) -> list[Review]:
        records = await self._reads.records(review_ids) if review_ids else []
        reviews = [review_from(fields) for fields in records if fields is not None]
        return [review for review in reviews if query.matches(review)]
