"""A walk through the parts of an index in several shards at once.

Each shard finds its next matches, in order. A match can be returned if no shard can find an earlier one any more: if it
is not after the last entry that any shard has read. The others wait until those shards are asked again. A shard is
asked for about its share of the records, because ids are spread evenly over the shards, and only if none of its matches
waits. So the first page usually takes one round trip, and few records are found in vain.

Positions are the same as with one shard: an entry of the order, of whichever shard.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import takewhile
from typing import Final

from slipway.indexes.scripts import IndexWalk, Position, Question, Step

_LEAST_CHECKS: Final = 32
"""The entries that a shard may read in one call at least: fewer would not be worth a call."""

_Place = tuple[float, str]
"""The score and the id of an entry."""


@dataclass(slots=True)
class _Part:
    """The walk through the part of one shard. `last` is the place of the last match that was found there."""

    walk: IndexWalk
    after: Position | None
    ended: bool = False
    last: _Place | None = None


class MergedWalk:
    """See `walks.Walk`. The matches are certain if they are in all shards."""

    def __init__(
        self,
        shards: Sequence[IndexWalk],
        question: Question,
        after: Position | None,
        gathers: bool | None,
        step_checks: int,
    ) -> None:
        self._question, self._gathers, self._step_checks = question, gathers, step_checks
        self._parts = [_Part(shard, after) for shard in shards]
        self._waiting: list[_Place] = []
        self._certain = question.query.exact
        self._members: int | None = None

    async def step(self, *, limit: int, skip: int = 0, checks: int) -> Step:
        frontier = self._frontier()
        if self._waiting and self._number_until(frontier):
            return self._merged(frontier, limit, skip, checks=0)
        asked = self._parts_to_ask(frontier)
        found = await asyncio.gather(*(self._ask(part, limit + skip, checks, len(asked)) for part in asked))
        self._certain = self._certain and all(step.certain for step in found)
        if self._members is None:
            self._members = sum(step.members for step in found)
        used = sum(step.checks for step in found)
        if self._gathers or self._question.counts:
            return self._together(found, used)
        for step in found:
            self._waiting += zip(step.scores, step.ids, strict=True)
        self._waiting.sort(reverse=self._question.descending)
        return self._merged(self._frontier(), limit, skip, checks=used)

    async def _ask(self, part: _Part, wanted: int, checks: int, asked: int) -> Step:
        """The next step in one shard. A shard that gathers has found all its matches, so its walk has ended."""
        question, shards = self._question, len(self._parts)
        allowed = self._checks_of_each(checks, asked)
        gather = min(_share(question.gather, shards), allowed) if question.gather else 0
        step = await part.walk.step(
            Question(question.query, question.order, question.descending, gather, question.counts),
            after=part.after,
            limit=wanted if question.counts else min(_share(wanted, shards), wanted),
            skip=0,
            checks=allowed,
            gathers=self._gathers if self._members is None else bool(self._gathers),
            scores=True,
        )
        part.after, part.ended = step.position, step.position is None
        if step.ids and step.scores:
            places = zip(step.scores, step.ids, strict=True)
            part.last = min(places) if question.descending else max(places)
        return step

    def _checks_of_each(self, checks: int, asked: int) -> int:
        """How many entries each of the shards may read that are asked. What a shard reads beyond the end of a page is
        read in vain, so they read as much together as one shard would; if all must be counted, nothing is in vain."""
        at_once = self._step_checks if self._question.counts else max(self._step_checks // asked, _LEAST_CHECKS)
        return max(min(at_once, checks // asked, self._step_checks), 1)

    def _together(self, found: Sequence[Step], checks: int) -> Step:
        """What all shards found, in no order."""
        return Step(
            ids=[record_id for step in found for record_id in step.ids],
            scores=[score for step in found for score in step.scores],
            position=self._frontier(),
            count=sum(step.count for step in found),
            skipped=0,
            checks=checks,
            gathered=bool(self._gathers),
            certain=self._certain,
            members=self._members or 0,
        )

    def _merged(self, frontier: Position | None, limit: int, skip: int, *, checks: int) -> Step:
        """The first waiting matches that no shard can precede any more."""
        number = self._number_until(frontier)
        skipped = min(skip if self._certain else 0, number)
        taken = self._waiting[skipped : min(skipped + limit, number)]
        rest = skipped + len(taken)
        position = frontier
        if rest < number:
            score, record_id = self._waiting[rest - 1]
            position = Position(f"{score:.17g}", record_id)
        del self._waiting[:rest]
        return Step(
            ids=[record_id for _, record_id in taken],
            scores=[score for score, _ in taken],
            position=position,
            count=0,
            skipped=skipped,
            checks=checks,
            gathered=False,
            certain=self._certain,
            members=self._members or 0,
        )

    def _frontier(self) -> Position | None:
        """The last entry that was read in the shard that has read the least. None if all have read everything."""
        positions = [part.after for part in self._parts if not part.ended and part.after is not None]
        choose = max if self._question.descending else min
        return choose(positions, key=_place) if positions else None

    def _number_until(self, frontier: Position | None) -> int:
        """How many of the waiting matches are not after the frontier."""
        if frontier is None:
            return len(self._waiting)
        bound = _place(frontier)
        return sum(1 for _ in takewhile(lambda place: not self._precedes(bound, place), self._waiting))

    def _parts_to_ask(self, frontier: Position | None) -> list[_Part]:
        """The shards that have not ended and of which no match waits: those that wait are after the frontier."""
        reading = [part for part in self._parts if not part.ended]
        if frontier is None or not self._waiting:
            return reading
        bound = _place(frontier)
        return [part for part in reading if part.last is None or not self._precedes(bound, part.last)]

    def _precedes(self, place: _Place, other: _Place) -> bool:
        return place > other if self._question.descending else place < other


def _place(position: Position) -> _Place:
    return float(position.score), position.record_id


def _share(wanted: int, shards: int) -> int:
    """As many of the first `wanted` records as one shard has, which is rarely exceeded: records are in a shard by
    chance, so the mean plus four standard deviations."""
    mean = wanted / shards
    return math.ceil(mean + 4 * math.sqrt(mean)) + 2
