"""The read stubs of the indexes of runs across threads."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Final

from slipway.redis.read_stubs import ReadStubs

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

    async def _in_sets(self, run_ids: list[str], sets: Sequence[str]) -> list[str]:
        if not run_ids or not sets:
            return run_ids
        scores = await asyncio.gather(
            *(self._pipeline.send("ZMSCORE", each, *run_ids, repeatable=True) for each in sets)
        )
        return [run_id for run_id, found in zip(run_ids, zip(*scores, strict=True), strict=True) if None not in found]
