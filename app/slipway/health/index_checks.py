"""Compares runs, assistants and crons with their indexes, and repairs the indexes.

Both directions are checked: whether the indexes have each record with all its index terms, and whether the record of
each entry of an index must have it. A script checks and repairs a page atomically.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from slipway.assistants.reads import AssistantReads
from slipway.assistants.scripts import AssistantScripts
from slipway.crons.reads import CronReads
from slipway.crons.scripts import CronScripts
from slipway.redis.keys import Keys
from slipway.redis.pipeline import Pipeline
from slipway.runs.index_reads import RunIndexReads
from slipway.runs.scripts import RunScripts

_UUID_LENGTH: Final = 36

Problems = list[tuple[str, str]]
"""The name of each problem with the id of its record."""


class IndexChecks:
    """With `repair` each problem is repaired in the script that finds it."""

    def __init__(self, pipeline: Pipeline, keys: Keys, *, repair: bool) -> None:
        self._runs, self._run_scripts = RunIndexReads(pipeline, keys), RunScripts(pipeline, keys)
        self._assistants, self._assistant_scripts = AssistantReads(pipeline, keys), AssistantScripts(pipeline, keys)
        self._crons, self._cron_scripts = CronReads(pipeline, keys), CronScripts(pipeline, keys)
        self._repair = repair

    async def records(self, kind: str, ids: Sequence[str]) -> Problems:
        """Checks that the indexes have these records. Two round trips."""
        match kind:
            case "run":
                runs = await self._runs.index_records(ids)
                return await self._run_scripts.check_indexes(runs, [], repair=self._repair)
            case "assistant":
                assistants = await self._assistants.index_records(ids)
                return await self._assistant_scripts.check_indexes(assistants, [], repair=self._repair)
            case _:
                crons = await self._crons.index_records(ids)
                return await self._cron_scripts.check_indexes(crons, [], repair=self._repair)

    async def entries(self, kind: str, set_key: str, members: Sequence[str]) -> Problems:
        """Checks members of a set of the indexes of this kind of record. One round trip."""
        if kind == "run":
            name = self._runs.name_of(set_key)
            return await self._run_scripts.check_indexes([], [(name, each) for each in members], repair=self._repair)
        entries = [(set_key, member, member[-_UUID_LENGTH:]) for member in members]
        scripts = self._assistant_scripts if kind == "assistant" else self._cron_scripts
        return await scripts.check_indexes([], entries, repair=self._repair)
