"""The stub of the scripts that walk through the sets of an index: see `redis/lua/lib/index_walk.lua`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from slipway.indexes.query import IndexQuery
from slipway.redis.keys import Keys
from slipway.redis.pipeline import Pipeline
from slipway.redis.script import Script
from slipway.redis.script_stubs import ScriptStubs


@dataclass(frozen=True, slots=True)
class Order:
    """A sorted set of all records, whose scores are an order. `by_id`: all scores are equal, so ids are the order.
    `earlier`: no record has a higher score than in the order of the index."""

    key: str
    by_id: bool = False
    earlier: bool = False
    by_text: bool = False
    """Whether all scores are equal, and the members are `<text>\\0<id>`, where each id is a UUID."""


@dataclass(frozen=True, slots=True)
class Index:
    """The sorted sets of one kind of records. `every` has all records; the sets of the terms have the same scores.
    `set_of` returns the key of the set with a term or a name."""

    every: str
    set_of: Callable[[str], str]


@dataclass(frozen=True, slots=True)
class Position:
    """The last entry that a walk has read."""

    score: str
    record_id: str


@dataclass(frozen=True, slots=True)
class Step:
    """What one call of the script found."""

    ids: list[str]
    """The matching records, in order; unordered if `gathered`. Empty if only a certain number is wanted."""
    scores: list[float]
    """Their scores in the order, if `gathered`."""
    position: Position | None
    """Where to continue; None at the end."""
    count: int
    """How many records match, without the skipped ones."""
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
    """Walks through one index, with the script of its shard."""

    def __init__(self, pipeline: Pipeline, keys: Keys, index: Index, script: Script) -> None:
        super().__init__(pipeline, keys)
        self._index, self._script = index, script
        self.own_order = Order(index.every)

    async def step(
        self,
        query: IndexQuery,
        order: Order,
        *,
        descending: bool,
        after: Position | None,
        limit: int,
        skip: int,
        checks: int,
        gather: int,
        gathers: bool | None,
        counts: bool = False,
    ) -> Step:
        """One round trip. Finds up to `limit` records after the position, with up to `checks` entries read. `skip`
        matches are skipped first, if all matches are certain. If the order is not that of the index, up to `gather`
        records are gathered; `gathers` is what the first step of the walk did. `counts`: only the number is wanted."""
        arguments = {
            "every": self._index.every,
            "conjunctions": [[self._keys_of(any_of) for any_of in each] for each in query.conjunctions],
            "order": order.key,
            "ids_order": order.by_id or order.by_text,
            "texts": order.by_text,
            "reverse": descending,
            "gather": 0 if order.by_text else gather,
            "gathers": gathers,
            "after": None if after is None else [after.score, after.record_id],
            "skip": skip,
            "limit": limit,
            "checks": checks,
            "counts": counts,
            "exact": query.exact,
        }
        reply = await self._pipeline.run(self._script, [], self._args(**arguments))
        ids, scores, position, count, skipped, used, gathered, certain, members = reply
        return Step(
            [record_id.decode() for record_id in ids],
            [float(score) for score in scores],
            Position(*(part.decode() for part in position)) if position else None,
            int(count),
            int(skipped),
            int(used),
            bool(gathered),
            bool(certain),
            int(members),
        )

    def _keys_of(self, any_of: Sequence[str]) -> list[str]:
        return [self._index.set_of(name) for name in any_of]
