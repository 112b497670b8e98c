"""Compares runs, reviews, assistants, crons and namespaces of the store with their indexes, and repairs the indexes.

Both directions are checked: whether the indexes have each record with all its index terms, and whether the record of
each entry of an index must have it. A script checks and repairs a page atomically.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final

from slipway.assistants.reads import AssistantReads
from slipway.assistants.scripts import assistant_index_check
from slipway.crons.reads import CronReads
from slipway.crons.scripts import cron_index_check
from slipway.indexes.scripts import IndexCheck
from slipway.redis.keys import Keys
from slipway.redis.pipeline import Pipeline
from slipway.reviews.reads import ReviewReads
from slipway.reviews.scripts import review_index_check
from slipway.runs.index_reads import RunIndexReads
from slipway.runs.scripts import run_index_check
from slipway.store.scripts import StoreScripts

_UUID_LENGTH: Final = 36

Problems = list[tuple[str, str]]
"""The name of each problem with the id of its record."""


_Reads = RunIndexReads | AssistantReads | CronReads | ReviewReads

_READS: Final[Mapping[str, Callable[[Pipeline, Keys], _Reads]]] = {
    "run": RunIndexReads,
    "assistant": AssistantReads,
    "cron": CronReads,
    "review": ReviewReads,
}
_CHECKS: Final[Mapping[str, Callable[[Pipeline, Keys], IndexCheck]]] = {
    "run": run_index_check,
    "assistant": assistant_index_check,
    "cron": cron_index_check,
    "review": review_index_check,
}


class IndexChecks:
    """Checks records of one shard, that of `keys`. With `repair` each problem is repaired in the script that finds
    it."""

    def __init__(self, pipeline: Pipeline, keys: Keys, *, repair: bool) -> None:
        self._pipeline, self._keys, self._repair = pipeline, keys, repair

    async def records(self, kind: str, ids: Sequence[str]) -> Problems:
        """Checks that the indexes have these records. Two round trips."""
        records = await _READS[kind](self._pipeline, self._keys).index_records(ids)
        return await self._check(kind, records, [])

    async def namespaces(self, names: Sequence[str]) -> Problems:
        """Checks that the order of namespaces of the store is that of their items. Each of the names has a dot at its
        end. One round trip."""
        wrong = await StoreScripts(self._pipeline, self._keys).check_index(names, repair=self._repair)
        return [("namespace_not_indexed", namespace) for namespace in wrong]

    async def entries(self, kind: str, set_key: str, members: Sequence[str]) -> Problems:
        """Checks members of a set of the indexes of this kind of record. One round trip."""
        entries: list[tuple[str, ...]]
        if kind == "run":
            name = RunIndexReads(self._pipeline, self._keys).name_of(set_key)
            entries = [(name, member) for member in members]
        elif kind == "review":
            entries = [(set_key, member) for member in members]
        else:
            entries = [(set_key, member, member[-_UUID_LENGTH:]) for member in members]
        return await self._check(kind, [], entries)

    async def _check(
        self, kind: str, records: Sequence[tuple[str, ...]], entries: Sequence[tuple[str, ...]]
    ) -> Problems:
        return await _CHECKS[kind](self._pipeline, self._keys).check(records, entries, repair=self._repair)
