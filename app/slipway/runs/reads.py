"""The read stubs of run records."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from slipway.access.filtered_reads import FilteredFields, read_filtered
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


class RunReads(ReadStubs):
    """One round trip each."""

    async def record(self, run_id: str) -> Fields:
        """The fields of the record. Empty if the run does not exist."""
        return await self._hash(self._keys.run(run_id))

    async def records(self, run_ids: Iterable[str]) -> list[Fields]:
        """The fields of each record, in the order of the ids."""
        return await self._hashes(map(self._keys.run, run_ids))

    async def thread_of(self, run_id: str) -> str | None:
        """None if the run does not exist."""
        return await self._text(self._keys.run(run_id), "thread_id")

    async def ids_of_thread(self, thread_id: str, first: int, last: int) -> list[str] | None:
        """The ids of a thread's runs from position `first` to `last`, newest first. None if the thread does not
        exist."""
        exists = self._pipeline.send("EXISTS", self._keys.thread(thread_id), repeatable=True)
        run_ids = await self._ids(self._keys.thread_runs(thread_id), first, last, descending=True)
        return run_ids if await exists else None

    async def thread_filtered(self, thread_id: str, access_filter: AccessFilter) -> FilteredFields:
        """The fields of a run's thread that an access filter reads; `plain` is its creation time."""
        return await read_filtered(self._pipeline, self._keys.thread(thread_id), access_filter, "created_us")

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
        reads = [self._pipeline.send("HGET", self._keys.run(run_id), "ordinal", repeatable=True) for run_id in run_ids]
        return [int(await read or 0) for read in reads]

    async def last_event(self, run_id: str) -> str | None:
        """The id of the newest event. None if the run does not exist."""
        return await self._text(self._keys.run(run_id), "last_event")


def snapshot_of(thread: FilteredFields) -> FieldSnapshot:
    """The fields that `RunReads.thread_filtered` returned, by their names in the record."""
    texts = {"created_us": thread.plain[0]} | {METADATA_PREFIX + name: text for name, text in thread.members.items()}
    return {name: False if text is None else text.decode() for name, text in texts.items()}
