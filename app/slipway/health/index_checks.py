"""Compares runs, reviews, assistants, crons and namespaces of the store with their indexes, and repairs the indexes.

Both directions are checked: whether the indexes have each record with all its index terms, and whether the record of
each entry of an index must have it. A script checks and repairs a page atomically.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from slipway.assistants.reads import AssistantReads
from slipway.assistants.scripts import assistant_index_check
from slipway.crons.reads import CronReads
from slipway.crons.scripts import cron_index_check
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


class IndexChecks:
    """With `repair` each problem is repaired in the script that finds it."""

    def __init__(self, pipeline: Pipeline, keys: Keys, *, repair: bool) -> None:
        self._runs = RunIndexReads(pipeline, keys)
        self._reads: dict[str, RunIndexReads | AssistantReads | CronReads | ReviewReads] = {
            "run": self._runs,
            "assistant": AssistantReads(pipeline, keys),
            "cron": CronReads(pipeline, keys),
            "review": ReviewReads(pipeline, keys),
        }
        self._checks = {
            "run": run_index_check(pipeline, keys),
            "assistant": assistant_index_check(pipeline, keys),
            "cron": cron_index_check(pipeline, keys),
            "review": review_index_check(pipeline, keys),
        }
        self._store, self._repair = StoreScripts(pipeline, keys), repair

    async def records(self, kind: str, ids: Sequence[str]) -> Problems:
        """Checks that the indexes have these records. Two round trips."""
        records = await self._reads[kind].index_records(ids)
        return await self._checks[kind].check(records, [], repair=self._repair)

    async def namespaces(self, names: Sequence[str]) -> Problems:
        """Checks that the order of namespaces of the store is that of their items. Each of the names has a dot at its
        end. One round trip."""
        wrong = await self._store.check_index(names, repair=self._repair)
        return [("namespace_not_indexed", namespace) for namespace in wrong]

    async def entries(self, kind: str, set_key: str, members: Sequence[str]) -> Problems:
        """Checks members of a set of the indexes of this kind of record. One round trip."""
        entries: list[tuple[str, ...]]
        if kind == "run":
            name = self._runs.name_of(set_key)
            entries = [(name, member) for member in members]
        elif kind == "review":
            entries = [(set_key, member) for member in members]
        else:
            entries = [(set_key, member, member[-_UUID_LENGTH:]) for member in members]
        return await self._checks[kind].check([], entries, repair=self._repair)
