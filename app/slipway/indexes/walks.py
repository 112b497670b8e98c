"""Walks through an index of all shards, in one order.

A walk takes a question and finds the matching records a few at a time. With one shard each step is one call of its
script. With several, all shards are asked at once and what they find is merged: see `MergedWalk`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Protocol

from slipway.indexes.merged_walk import MergedWalk
from slipway.indexes.scripts import IndexWalk, Order, Position, Question, Step

STEP_CHECKS: Final = 1000
"""The most entries that one script reads. It blocks Redis for one or two milliseconds."""


class Walk(Protocol):
    """One walk, from its first step to its last one."""

    async def step(self, *, limit: int, skip: int = 0, checks: int) -> Step:
        """The next up to `limit` records. `skip` matches are skipped first, if all matches are certain. Reads about
        `checks` entries at most, in all shards together. At most one round trip. Not to be called after the end."""
        ...


class Walks:
    """The index of one kind of records. `shards` walk through its parts, one in each shard."""

    def __init__(self, shards: Sequence[IndexWalk], *, step_checks: int = STEP_CHECKS) -> None:
        self._shards, self._step_checks = shards, step_checks

    @property
    def own_order(self) -> Order:
        """The order of all sets of the index."""
        return self._shards[0].index.order

    def start(self, question: Question, *, after: Position | None = None, gathers: bool | None = None) -> Walk:
        """A walk that begins after a position. `gathers`: whether it gathers the records, instead of reading them in
        order; None if the numbers of records decide."""
        if len(self._shards) == 1:
            return _WalkOfOne(self._shards[0], question, after, gathers, self._step_checks)
        return MergedWalk(self._shards, question, after, gathers, self._step_checks)


class _WalkOfOne:
    """A walk through the index of a deployment with one shard."""

    def __init__(
        self, shard: IndexWalk, question: Question, after: Position | None, gathers: bool | None, step_checks: int
    ) -> None:
        self._shard, self._question, self._step_checks = shard, question, step_checks
        self._after, self._gathers = after, gathers

    async def step(self, *, limit: int, skip: int = 0, checks: int) -> Step:
        step = await self._shard.step(
            self._question,
            after=self._after,
            limit=limit,
            skip=skip,
            checks=min(self._step_checks, checks),
            gathers=self._gathers,
        )
        self._after, self._gathers = step.position, step.gathered
        return step
