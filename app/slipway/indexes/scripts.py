"""The stub of the scripts that walk through the sets of an index: see `redis/lua/lib/index_walk.lua`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from slipway.indexes.query import IndexQuery
from slipway.redis.keys import Keys
from slipway.redis.pipeline import Pipeline
from slipway.redis.script import Script
from slipway.redis.script_stubs import ScriptStubs

KeyName = Callable[[Keys], str]
"""The name of a key in each shard."""


@dataclass(frozen=True, slots=True)
class Order:
    """A sorted set of all records, whose scores are an order. `by_id`: all scores are equal, so ids are the order.
    `earlier`: no record has a higher score than in the order of the index."""

    key: KeyName
    by_id: bool = False
    earlier: bool = False
    by_text: bool = False
    """Whether all scores are equal, and the members are `<text>\\0<id>`, where each id is a UUID. Only records that
    have one shard have such an order."""


@dataclass(frozen=True, slots=True)
class Index:
    """The sorted sets of one kind of records. `every` has all records; the sets of the terms have the same scores.
    `set_of` returns the key of the set with a term or a name."""

    every: KeyName
    set_of: Callable[[Keys, str], str]

    @property
    def order(self) -> Order:
        """The order of all its sets."""
        return Order(self.every)


@dataclass(frozen=True, slots=True)
class Position:
    """An entry in an order. A walk continues after the last entry that it has read."""

    score: str
    record_id: str


@dataclass(frozen=True, slots=True)
class Question:
    """What a walk looks for, and in which order. In another order than that of the index, up to `gather` records are
    gathered. `counts`: only the number of records is needed."""

    query: IndexQuery
    order: Order
    descending: bool
    gather: int = 0
    counts: bool = False


@dataclass(frozen=True, slots=True)
class Step:
    """What one step of a walk found."""

    ids: list[str]
    """The matching records, in order; unordered if `gathered`. Without those of `count`."""
    scores: list[float]
    """Their scores in the order, if `gathered`, or if the script was asked for them."""
    position: Position | None
    """Where to continue; None at the end."""
    count: int
    """How many records certainly match, if only their number is needed."""
    skipped: int
    checks: int
    """How many entries were read."""
    gathered: bool
    certain: bool
    """Whether every found record matches, as far as the index knows: the query is exact, and no wider term exists."""
    members: int
    """How many records the smallest sets of the query have, which is how many would be gathered."""


class IndexCheck(ScriptStubs):
    """Compares records of one kind with their indexes, with the script of their shard."""

    def __init__(self, pipeline: Pipeline, keys: Keys, script: Script) -> None:
        super().__init__(pipeline, keys)
        self._script = script

    async def check(
        self, records: Sequence[tuple[str, ...]], entries: Sequence[tuple[str, ...]], *, repair: bool
    ) -> list[tuple[str, str]]:
        """The problems that the indexes have with these records and entries, each with the id of its record. The script
        says what records and entries consist of. With `repair` the problems are repaired. One round trip."""
        args = self._args(records=records, entries=entries, repair=repair)
        reply = await self._pipeline.run(self._script, [], args)
        return [(problem.decode(), record_id.decode()) for problem, record_id in reply]


class IndexWalk(ScriptStubs):
    """Walks through the part of an index that is in one shard, with the script of this shard."""

    def __init__(self, pipeline: Pipeline, keys: Keys, index: Index, script: Script) -> None:
        super().__init__(pipeline, keys)
        self.index, self._script = index, script

    async def step(
        self,
        question: Question,
        *,
        after: Position | None,
        limit: int,
        skip: int,
        checks: int,
        gathers: bool | None,
        scores: bool = False,
    ) -> Step:
        """One round trip. Finds up to `limit` records after the position, with up to `checks` entries read. `skip`
        matches are skipped first, if all matches are certain. `gathers` is what the first step of the walk did.
        `scores`: with the scores of the records."""
        order = question.order
        arguments = {
            "every": self.index.every(self._keys),
            "conjunctions": [[self._keys_of(any_of) for any_of in each] for each in question.query.conjunctions],
            "order": order.key(self._keys),
            "ids_order": order.by_id or order.by_text,
            "texts": order.by_text,
            "reverse": question.descending,
            "gather": 0 if order.by_text else question.gather,
            "gathers": gathers,
            "after": None if after is None else [after.score, after.record_id],
            "skip": skip,
            "limit": limit,
            "checks": checks,
            "counts": question.counts,
            "scores": scores,
            "exact": question.query.exact,
        }
        reply = await self._pipeline.run(self._script, [], self._args(**arguments))
        ids, found_scores, position, count, skipped, used, gathered, certain, members = reply
        return Step(
            [record_id.decode() for record_id in ids],
            [float(score) for score in found_scores],
            Position(*(part.decode() for part in position)) if position else None,
            int(count) if question.counts and certain else 0,
            int(skipped),
            int(used),
            bool(gathered),
            bool(certain),
            int(members),
        )

    def _keys_of(self, any_of: Sequence[str]) -> list[str]:
        return [self.index.set_of(self._keys, name) for name in any_of]
