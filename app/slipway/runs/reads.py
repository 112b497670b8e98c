"""The read stubs of run records."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from slipway.access.filtered_reads import read_filtered
from slipway.access.filters import AccessFilter
from slipway.redis.hash_fields import METADATA_PREFIX, Fields
from slipway.redis.read_stubs import ReadStubs

FieldSnapshot = dict[str, str | bool]
"""Stored values of fields of a thread's record. False for a field that does not exist."""


@dataclass(frozen=True, slots=True)
class RunStart:
    """What the event protocol reads of a run before its events. `started_us` is None for a run that was cancelled
    before it started. `kwargs` is JSON."""

    graph_id: str
    started_us: int | None
    kwargs: bytes


@dataclass(frozen=True, slots=True)
class ThreadSnapshot:
    """The fields of a run's thread that an access filter reads. `metadata` has the members that it checks, and is None
    for an unknown thread."""

    snapshot: FieldSnapshot
    metadata: dict[str, Any] | None


class RunReads(ReadStubs):
    """One round trip each."""

    async def record(self, run_id: str) -> Fields | None:
        """The fields of the record. None if the run does not exist."""
        return (await self.records([run_id]))[0]

    async def records(self, run_ids: Iterable[str]) -> list[Fields | None]:
        """The fields of each record, in the order of the ids. None for each run that does not exist."""
        return await self._records(map(self._keys.run, run_ids), "phase")

    async def thread_of(self, run_id: str) -> str | None:
        """None if the run does not exist."""
        return await self._text(self._keys.run(run_id), "thread_id")

    async def ids_of_thread(self, thread_id: str, first: int, last: int) -> list[str] | None:
        """The ids of a thread's runs from position `first` to `last`, newest first. None if the thread does not
        exist."""
        exists = self._pipeline.send("EXISTS", self._keys.thread(thread_id), repeatable=True)
        run_ids = await self._ids(self._keys.thread_runs(thread_id), first, last, descending=True)
        return run_ids if await exists else None

    async def thread_filtered(self, thread_id: str, access_filter: AccessFilter) -> ThreadSnapshot:
        """The thread of a run, as far as the access filter reads it."""
        stored = await read_filtered(self._pipeline, self._keys.thread(thread_id), access_filter, "created_us")
        (created_us,) = stored.plain
        texts = {"created_us": created_us}
        texts |= {METADATA_PREFIX + name: text for name, text in stored.members.items()}
        snapshot = {name: False if text is None else text.decode() for name, text in texts.items()}
        return ThreadSnapshot(snapshot, None if created_us is None else stored.metadata)

    async def start(self, run_id: str) -> RunStart | None:
        """None if the run does not exist."""
        names = ("graph_id", "started_us", "kwargs")
        graph_id, started_us, kwargs = await self._pipeline.send(
            "HMGET", self._keys.run(run_id), *names, repeatable=True
        )
        if graph_id is None:
            return None
        return RunStart(graph_id.decode(), None if started_us is None else int(started_us), kwargs)

    async def ordinals(self, run_ids: Sequence[str]) -> list[int]:
        """The ordinals of the runs, in the order of the ids. 0 for a run that has neither started nor ended."""
        ordinals = await asyncio.gather(
            *(self._pipeline.send("HGET", self._keys.run(run_id), "ordinal", repeatable=True) for run_id in run_ids)
        )
        return [int(ordinal or 0) for ordinal in ordinals]

    async def last_event(self, run_id: str) -> str | None:
        """The id of the newest event. None if the run does not exist."""
        return await self._text(self._keys.run(run_id), "last_event")
