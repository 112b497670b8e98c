"""Pages and counts of records by an index: bounded walks, and an exact comparison of every record that they find."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from typing import Final, Generic, Protocol, TypeVar

from slipway.indexes.query import IndexQuery
from slipway.indexes.scripts import IndexWalk, Order, Position, Question, Step
from slipway.indexes.walks import STEP_CHECKS, Walks

Record = TypeVar("Record")

DEFAULT_MAX_CHECKS: Final = 20_000
"""The default of the setting `search_max_checks`."""

RECORD_CHECKS: Final = 10
"""As how many entries of an index a record counts that is read to compare it."""

_CANDIDATES: Final = 100
"""How many uncertain records are compared at a time."""


class Records(Protocol[Record]):
    """The records that a search compares."""

    async def read(self, record_ids: Sequence[str]) -> list[Record | None]:
        """The records in the order of the ids. None for each that does not match or does not exist (any more)."""
        ...

    async def matching(self, record_ids: Sequence[str]) -> list[str]:
        """The ids of the records that match, in the same order. Reads only what the query compares."""
        ...


@dataclass(frozen=True, slots=True)
class Found(Generic[Record]):
    """A page. It is not `complete` if the search stopped at its limit: then more records may match."""

    records: list[Record]
    complete: bool = True


@dataclass(frozen=True, slots=True)
class Count:
    """How many records match; at least so many if it is not `complete`."""

    number: int
    complete: bool = True


@dataclass(frozen=True, slots=True)
class Limits:
    """`step`: the most entries that one script reads. In another order than that of the index, up to `gathered_at_once`
    records are gathered without a walk, and up to `gathered` after one step of it."""

    step: int = STEP_CHECKS
    gathered_at_once: int = 100
    gathered: int = 10_000


@dataclass(slots=True)
class _Budget:
    """How many entries a search may still read."""

    checks: int
    exhausted: bool = False

    def spend(self, checks: int) -> None:
        self.checks -= checks

    async def matching(self, records: Records[Record], record_ids: Sequence[str]) -> AsyncIterator[list[str]]:
        """Those of the records that match, some at a time, until the budget is spent."""
        waiting = list(record_ids)
        while waiting and not self.stop_if_spent():
            size = min(_CANDIDATES, max(self.checks // RECORD_CHECKS, 1))
            part, waiting = waiting[:size], waiting[size:]
            self.spend(len(part) * RECORD_CHECKS)
            yield await records.matching(part)

    def stop_if_spent(self) -> bool:
        """Whether nothing is left. To be asked only while there is more to read."""
        self.exhausted = self.exhausted or self.checks <= 0
        return self.exhausted


@dataclass(slots=True)
class _Page(Generic[Record]):
    """A page while it is filled."""

    records: Records[Record]
    limit: int
    to_skip: int
    found: list[Record] = field(default_factory=list)
    seen: set[str] = field(default_factory=set)

    @property
    def missing(self) -> int:
        return self.limit - len(self.found)

    def mark(self) -> tuple[int, int]:
        """The present state, for `restore`."""
        return self.to_skip, len(self.found)

    def restore(self, mark: tuple[int, int]) -> None:
        """Forgets what was added and skipped since the mark."""
        self.to_skip, kept = mark
        del self.found[kept:]
        self.seen.clear()

    async def add(self, record_ids: Sequence[str], budget: _Budget, *, certain: bool) -> None:
        """Adds records in order. If they are not `certain`, they are compared before the page skips any."""
        new = [each for each in dict.fromkeys(record_ids) if each not in self.seen]
        self.seen.update(new)
        if certain:
            await self._read(new)
            return
        async for matching in budget.matching(self.records, new):
            await self._read(matching)
            if self.missing == 0:
                return

    async def _read(self, record_ids: Sequence[str]) -> None:
        skipped = min(self.to_skip, len(record_ids))
        self.to_skip -= skipped
        waiting = list(record_ids[skipped:])
        while waiting and self.missing:
            part, waiting = waiting[: self.missing], waiting[self.missing :]
            self.found += [record for record in await self.records.read(part) if record is not None]


class IndexSearch:
    """Searches of one index. `max_checks` bounds each: the entries of sets that it reads, and `RECORD_CHECKS` for each
    record that it reads only to compare it. In another order than that of the index, the matching records are found by
    a walk through all records in that order. If its first step does not fill the page, and few records can match, they
    are gathered and sorted instead: see `Limits`."""

    def __init__(self, shards: Sequence[IndexWalk], *, max_checks: int, limits: Limits | None = None) -> None:
        """`shards` walk through the parts of the index, one in each shard."""
        self._max_checks, self._limits = max_checks, limits or Limits()
        self._walks = Walks(shards, step_checks=self._limits.step)

    async def page(
        self,
        queries: Sequence[IndexQuery],
        records: Records[Record],
        order: Order,
        *,
        descending: bool,
        limit: int,
        offset: int,
    ) -> Found[Record]:
        """`limit` records from `offset` on. Those that match the first query come first; each record must match one
        query at most."""
        page, budget = _Page(records, limit, offset), _Budget(self._max_checks)
        for query in queries:
            if page.missing == 0 or budget.exhausted:
                break
            await self._fill(page, budget, query, order, descending=descending)
        return Found(page.found, not budget.exhausted)

    async def count(self, query: IndexQuery, records: Records[Record], order: Order) -> Count:
        """How many records match."""
        budget, total = _Budget(self._max_checks), 0
        async for step in self._steps(query, order, budget, descending=True, counts=True):
            total += step.count
            async for matching in budget.matching(records, step.ids):
                total += len(matching)
        return Count(total, not budget.exhausted)

    async def _fill(
        self, page: _Page[Record], budget: _Budget, query: IndexQuery, order: Order, *, descending: bool
    ) -> None:
        gathered: list[tuple[float, str]] = []
        certain = True
        async for step in self._steps(query, order, budget, descending=descending, page=page):
            certain = certain and step.certain
            page.to_skip -= step.skipped
            if step.gathered:
                gathered += zip(step.scores, step.ids, strict=True)
                if certain and descending and order.earlier and _has_first(gathered, step.position, page):
                    break
                continue
            await page.add(step.ids, budget, certain=step.certain)
            if page.missing == 0:
                return
        gathered.sort(reverse=descending)
        await page.add([record_id for _, record_id in gathered], budget, certain=certain)

    async def _steps(
        self,
        query: IndexQuery,
        order: Order,
        budget: _Budget,
        *,
        descending: bool,
        page: _Page[Record] | None = None,
        counts: bool = False,
    ) -> AsyncIterator[Step]:
        """The steps of a walk, until its end or that of the budget."""
        question = Question(query, order, descending, self._limits.gathered_at_once, counts)
        walk = self._walks.start(question)
        first = page.mark() if page is not None else None
        certain = query.exact
        while True:
            step = await walk.step(
                limit=_step_limit(page, certain=certain),
                skip=0 if page is None else page.to_skip,
                checks=max(budget.checks, 1),
            )
            budget.spend(step.checks)
            certain = step.certain
            yield step
            if step.position is None:
                return
            gather = not step.gathered and self._should_gather(step, order, budget, descending=descending)
            if page is not None and first is not None and gather:
                page.restore(first)
                walk = self._walks.start(question, gathers=True)
            first = None
            if budget.stop_if_spent():
                return

    def _should_gather(self, step: Step, order: Order, budget: _Budget, *, descending: bool) -> bool:
        """Whether to gather the records after the first step of a walk in another order, which did not fill the page:
        they may be at the end of the order. Many are gathered only if their first ones are known early."""
        few = step.members <= min(self._limits.gathered, budget.checks)
        return order != self._walks.own_order and (few or (descending and order.earlier and step.certain))


def _has_first(gathered: Sequence[tuple[float, str]], position: Position | None, page: _Page[Record]) -> bool:
    """Whether the records of the page are among those that were gathered so far. The others have lower scores than the
    last one that was read."""
    bound = float(position.score) if position is not None else float("-inf")
    return sum(score > bound for score, _ in gathered) >= page.to_skip + page.missing


def _step_limit(page: _Page[Record] | None, *, certain: bool) -> int:
    """How many records one step finds: no more than the page needs, if they need no comparison."""
    if page is None:
        return STEP_CHECKS
    return page.missing if certain else min(max(page.missing + page.to_skip, _CANDIDATES), STEP_CHECKS)
