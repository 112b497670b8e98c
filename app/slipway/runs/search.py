"""Finds runs across threads, with the indexes of runs.

A page continues at a position in the order of creation. Runs that are created or end meanwhile do not move the others,
so no run is skipped or comes twice.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final, Protocol

from slipway.assistants.system import system_id
from slipway.indexes.query import AnyOf, IndexQuery
from slipway.indexes.scripts import Position, Question
from slipway.indexes.search import RECORD_CHECKS
from slipway.indexes.walks import STEP_CHECKS, Walks
from slipway.redis.per_shard import PerShard
from slipway.redis.pipeline import Pipeline
from slipway.redis.shards import Shards
from slipway.runs.index_reads import RunIndexReads
from slipway.runs.index_terms import UNFINISHED, assistant_term, error_term, other_assistants_term, owner_term
from slipway.runs.reads import RunReads
from slipway.runs.record import Phase, Run, run_from
from slipway.runs.run_position import RunPosition
from slipway.runs.scripts import run_walk

_UNFINISHED_PHASES: Final = frozenset({Phase.QUEUED, Phase.RUNNING, Phase.PAUSED})

_CANDIDATES: Final = 200
"""How many runs are read at a time after the first ones were not enough for a page."""

_MAX_LEASES: Final = 5000
"""The most leases that a search for running runs sorts. With more, it reads the index of unfinished runs."""


@dataclass(frozen=True, slots=True)
class RunQuery:
    """The conditions of a search; None and an empty set match every run. Times are in µs."""

    phases: frozenset[Phase] = frozenset()
    graph_id: str | None = None
    assistant_id: str | None = None
    owner: str | None = None
    """The identity of the user for whom the run executes."""
    error_code: str | None = None
    created_from_us: int | None = None
    """The first time of creation that matches."""
    created_before_us: int | None = None
    """The first time of creation after those that match."""

    def matches(self, run: Run) -> bool:
        created_us = int(run.incarnation)
        return (
            (not self.phases or run.phase in self.phases)
            and self.graph_id in (None, run.graph_id)
            and self.assistant_id in (None, run.assistant_id)
            and self.owner in (None, run.owner)
            and self.error_code in (None, run.error_code)
            and (self.created_from_us is None or created_us >= self.created_from_us)
            and (self.created_before_us is None or created_us < self.created_before_us)
        )

    def sets(self, *, phases: bool = True) -> list[AnyOf]:
        """For each condition the sets of which one has every run that meets it. `phases`: with that of the phase."""
        sets = [
            *([] if self.assistant_id is None else [(assistant_term(self.assistant_id),)]),
            *([] if self.owner is None else [(owner_term(self.owner),)]),
            *([] if self.error_code is None else [(error_term(self.error_code),)]),
            *([] if self.graph_id is None else [_sets_of_graph(self.graph_id)]),
        ]
        if phases and (self.phases or not sets):
            sets.append(_sets_of_phases(self.phases or frozenset(Phase)))
        return sets

    def in_terms(self) -> IndexQuery:
        """The query without its times, for the indexes of runs."""
        return IndexQuery((tuple(self.sets()),), exact=False)


def _sets_of_graph(graph_id: str) -> tuple[str, ...]:
    return (assistant_term(system_id(graph_id)), other_assistants_term(graph_id))


def _sets_of_phases(phases: Iterable[Phase]) -> tuple[str, ...]:
    return tuple(sorted({UNFINISHED if phase in _UNFINISHED_PHASES else phase.value for phase in phases}))


class Visible(Protocol):
    """Which of some runs the user may read, in the order of the runs."""

    def __call__(self, runs: Sequence[Run], /) -> Awaitable[list[bool]]: ...


@dataclass(frozen=True, slots=True)
class RunPage:
    """Some runs, and where the next page begins. A page can have fewer runs than were wanted, even none, because a
    search that reads too much stops. Only `next` says whether there is a next page."""

    runs: list[Run]
    next: RunPosition | None


class RunSearch:
    """Searches runs. `max_checks` bounds a page: the entries of indexes that it reads, and `RECORD_CHECKS` for each run
    that it reads in vain."""

    def __init__(self, pipeline: Pipeline, shards: Shards, *, max_checks: int) -> None:
        self._reads, self._indexes = (
            RunReads(pipeline, shards.records),
            PerShard(shards, partial(RunIndexReads, pipeline)),
        )
        self._walks, self._max_checks = Walks([run_walk(pipeline, keys) for keys in shards.threads]), max_checks

    async def page(
        self,
        query: RunQuery,
        *,
        limit: int,
        after: RunPosition | None = None,
        oldest_first: bool = False,
        visible: Visible | None = None,
    ) -> RunPage:
        """`limit` runs after a position, the newest first unless `oldest_first`. Usually two round trips: the indexes,
        and the records."""
        position = _start(query, after, oldest_first=oldest_first)
        batches = self._batches(query, position, limit, oldest_first=oldest_first)
        runs: list[Run] = []
        checks = self._max_checks
        async for batch in batches:
            matching = await self._matching(batch.run_ids, query, visible)
            for run in matching:
                if len(runs) == limit:
                    return RunPage(runs, RunPosition.of(runs[-1]))
                runs.append(run)
            position = None if _is_beyond(batch.end, query, oldest_first=oldest_first) else batch.end
            checks -= batch.checks + RECORD_CHECKS * (len(batch.run_ids) - len(matching))
            if position is None or len(runs) == limit or checks <= 0:
                break
        return RunPage(runs, position)

    async def _batches(
        self, query: RunQuery, position: RunPosition | None, limit: int, *, oldest_first: bool
    ) -> AsyncIterator[_Batch]:
        if query.phases == {Phase.RUNNING}:
            leased = await self._leased(query)
            if leased is not None:
                for batch in _sorted_batches(leased, position, limit, oldest_first=oldest_first):
                    yield batch
                return
        question = Question(query.in_terms(), self._walks.own_order, descending=not oldest_first)
        after = None if position is None else Position(str(position.created_us), position.run_id)
        walk = self._walks.start(question, after=after)
        while True:
            step = await walk.step(limit=limit, checks=STEP_CHECKS)
            end = step.position
            position = None if end is None else RunPosition(int(float(end.score)), end.record_id)
            yield _Batch(step.ids, position, step.checks)
            if position is None:
                return
            limit = max(limit, _CANDIDATES)

    async def _leased(self, query: RunQuery) -> list[RunPosition] | None:
        """The runs with a lease that may match; None if there are too many leases."""
        conditions = query.sets(phases=False)
        found = await asyncio.gather(*(index.leased_in_sets(conditions, _MAX_LEASES) for index in self._indexes))
        leased = [run for runs in found for run in runs or ()]
        return None if None in found or len(leased) > _MAX_LEASES else leased

    async def _matching(self, run_ids: Sequence[str], query: RunQuery, visible: Visible | None) -> list[Run]:
        """The runs with these ids that match, in the same order."""
        runs = [run_from(fields) for fields in await self._reads.records(run_ids) if fields is not None]
        matching = [run for run in runs if query.matches(run)]
        if visible is None or not matching:
            return matching
        return [run for run, shown in zip(matching, await visible(matching), strict=True) if shown]


@dataclass(frozen=True, slots=True)
class _Batch:
    """Runs that may match, in order, and the last entry that was read to find them: None at the end of the indexes."""

    run_ids: list[str]
    end: RunPosition | None
    checks: int


def _sorted_batches(
    leased: Iterable[RunPosition], position: RunPosition | None, limit: int, *, oldest_first: bool
) -> Iterator[_Batch]:
    ordered = sorted(leased, reverse=not oldest_first)
    if position is not None:
        ordered = [each for each in ordered if (each > position if oldest_first else each < position)]
    for first in range(0, max(len(ordered), 1), limit):
        part = ordered[first : first + limit]
        end = part[-1] if first + limit < len(ordered) else None
        yield _Batch([each.run_id for each in part], end, len(part))


def _start(query: RunQuery, after: RunPosition | None, *, oldest_first: bool) -> RunPosition | None:
    """The position before the first run that can match."""
    bound_us = query.created_from_us if oldest_first else query.created_before_us
    if bound_us is None:
        return after
    bound = RunPosition(bound_us, "")
    if after is None:
        return bound
    return max(after, bound) if oldest_first else min(after, bound)


def _is_beyond(end: RunPosition | None, query: RunQuery, *, oldest_first: bool) -> bool:
    """Whether no run after this position can match."""
    if end is None:
        return True
    if oldest_first:
        return query.created_before_us is not None and end.created_us >= query.created_before_us
    return query.created_from_us is not None and end.created_us < query.created_from_us
