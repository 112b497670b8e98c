"""The read stubs of the indexes of runs across threads."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Sequence
from typing import Final

from slipway.indexes.query import AnyOf
from slipway.redis.read_stubs import ReadStubs
from slipway.runs.index_terms import UNFINISHED, error_term, run_terms
from slipway.runs.run_position import RunPosition
from slipway.serialization.at_rest import opened_json
from slipway.serialization.places import USER, run_place

_PAGE: Final = 500
"""Members of a set that are read in one round trip."""


class RunIndexReads(ReadStubs):
    """Reads the sorted sets of runs, which are named by a phase or an index term (`index_terms.py`)."""

    async def in_all_sets(self, names: Sequence[str]) -> AsyncIterator[list[str]]:
        """Pages of the runs that are in all these sets, in no order. Any run may come twice. Reads the shortest set,
        and for a page of it the positions in the others."""
        sets = [self._keys.runs_with(name) for name in names]
        sizes = await asyncio.gather(*(self._pipeline.send("ZCARD", each, repeatable=True) for each in sets))
        shortest, *others = (each for _, each in sorted(zip(map(int, sizes), sets, strict=True)))
        async for run_ids in self._members("ZSCAN", shortest, _PAGE):
            yield await self._in_sets(run_ids, others)

    async def leased_in_sets(self, conditions: Sequence[AnyOf], most: int) -> list[RunPosition] | None:
        """The runs that have a lease and, for each condition, are in one of its sets; None if there are more than
        `most` leases. Two round trips."""
        run_ids = await self._ids(self._keys.leases, 0, most)
        if len(run_ids) > most:
            return None
        if not run_ids:
            return []
        names = dict.fromkeys([UNFINISHED, *(name for condition in conditions for name in condition)])
        scores = dict(zip(names, await self._scores(map(self._keys.runs_with, names), run_ids), strict=True))
        return [
            RunPosition(int(float(created_us)), run_id)
            for place, (run_id, created_us) in enumerate(zip(run_ids, scores[UNFINISHED], strict=True))
            if created_us is not None
            and all(any(scores[name][place] is not None for name in condition) for condition in conditions)
        ]

    async def index_records(self, run_ids: Sequence[str]) -> list[tuple[str, str, str, str]]:
        """What `IndexCheck` compares: id, `updated_us`, index terms, and that of the error, of each that
        exists."""
        names = ("updated_us", "assistant_id", "graph_id", "user", "error", "phase")
        reads = (self._pipeline.send("HMGET", self._keys.run(each), *names, repeatable=True) for each in run_ids)
        records = []
        for run_id, stored in zip(run_ids, await asyncio.gather(*reads), strict=True):
            updated_us, assistant_id, graph_id, user, error, phase = stored
            if updated_us is not None:
                terms = run_terms(
                    assistant_id.decode(), graph_id.decode(), None if user is None else opened_json(user, USER)
                )
                has_failed = error is not None and phase != b"paused"  # one that is paused may have an error too
                code = opened_json(error, run_place(run_id)).get("code") if has_failed else None
                records.append((run_id, updated_us.decode(), "".join(terms), "" if code is None else error_term(code)))
        return records

    def name_of(self, set_key: str) -> str:
        """The name of a set in its key."""
        return set_key.removeprefix(self._keys.runs_with(""))

    async def _in_sets(self, run_ids: list[str], sets: Sequence[str]) -> list[str]:
        if not run_ids or not sets:
            return run_ids
        scores = await self._scores(sets, run_ids)
        return [run_id for run_id, found in zip(run_ids, zip(*scores, strict=True), strict=True) if None not in found]

    async def _scores(self, sets: Iterable[str], run_ids: Sequence[str]) -> list[list[bytes | None]]:
        """For each set the scores of the runs in it, None for each other run."""
        reads = (self._pipeline.send("ZMSCORE", each, *run_ids, repeatable=True) for each in sets)
        scores: list[list[bytes | None]] = await asyncio.gather(*reads)
        return scores
