"""The read stubs of threads."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from slipway.access.filtered_reads import FilteredFields, filtered_fields, read_filtered
from slipway.access.filters import AccessFilter
from slipway.redis.hash_fields import METADATA_PREFIX, Fields
from slipway.redis.keys import Keys
from slipway.redis.read_stubs import ReadStubs
from slipway.serialization.at_rest import opened_json
from slipway.serialization.places import THREAD


@dataclass(frozen=True, slots=True)
class ThreadProgress:
    """`incarnation` is the creation time in µs, None for an unknown thread. `last_ordinal` is that of the run that
    started last; 0 before the first one."""

    incarnation: str | None
    last_ordinal: int
    active_run_id: str | None


@dataclass(frozen=True, slots=True)
class StoredStateWrite:
    """A state that was written from outside a run. `ordinal` is that of the run that had started last."""

    ordinal: int
    time_us: int
    checkpoint_id: str


@dataclass(frozen=True, slots=True)
class FilteredThread:
    """`created_us` is the creation time in µs. `metadata` has only the members that the access filter checks."""

    created_us: int
    status: str
    metadata: dict[str, Any]


@dataclass(frozen=True, slots=True)
class ComparedThread:
    """What a search compares. `metadata` has only the members that were named, `values` are None unless read."""

    status: str
    metadata: dict[str, Any]
    values: dict[str, Any] | None


class ThreadReads(ReadStubs):
    """One round trip each."""

    async def record(self, thread_id: str) -> Fields | None:
        """None for an unknown thread."""
        return (await self.records([thread_id]))[0]

    async def records(self, thread_ids: Iterable[str]) -> list[Fields | None]:
        """In the order of the ids, None for each unknown thread."""
        return await self._records(map(self._keys.thread, thread_ids), "created_us")

    async def filtered(self, thread_id: str, access_filter: AccessFilter) -> FilteredThread | None:
        """None for an unknown thread."""
        key = self._keys.thread(thread_id)
        stored = await read_filtered(self._pipeline, key, access_filter, "created_us", "status")
        created_us, status = stored.plain
        if created_us is None or status is None:
            return None
        return FilteredThread(int(created_us), status.decode(), stored.metadata)

    async def compared(
        self, thread_ids: Iterable[str], members: Sequence[str], *, values: bool
    ) -> list[ComparedThread | None]:
        """The status and the named metadata members of each thread, and its `values` on request. None for each unknown
        thread."""
        plain = ("status", "values") if values else ("status",)
        names = (*plain, *(METADATA_PREFIX + name for name in members))
        reads = [
            self._pipeline.send("HMGET", self._keys.thread(thread_id), *names, repeatable=True)
            for thread_id in thread_ids
        ]
        return [_compared(filtered_fields(await read, len(plain), members)) for read in reads]

    async def incarnation(self, thread_id: str) -> str | None:
        """The creation time in µs; None for an unknown thread."""
        return await self._text(self._keys.thread(thread_id), "created_us")

    async def active_run(self, thread_id: str) -> str | None:
        """The run that executes, if one does."""
        return await self._text(self._keys.thread(thread_id), "active_run_id")

    async def now_us(self) -> int:
        """The time of Redis."""
        seconds, microseconds = await self._pipeline.send("TIME", at=self._keys.prefix, repeatable=True)
        return int(seconds) * 1_000_000 + int(microseconds)

    async def progress(self, thread_id: str) -> ThreadProgress:
        """How far the runs of the thread are."""
        names = ("created_us", "started_runs", "active_run_id")
        incarnation, ordinal, active = await self._pipeline.send(
            "HMGET", self._keys.thread(thread_id), *names, repeatable=True
        )
        return ThreadProgress(_text(incarnation), int(ordinal or 0), _text(active))

    async def first_queued_run(self, thread_id: str) -> str | None:
        """The id of the run that is first in the thread's queue, or None if the queue is empty."""
        return next(iter(await self._ids(self._keys.thread_queue(thread_id), 0, 0)), None)

    async def newest_runs(self, thread_id: str, first: int, last: int) -> list[str]:
        """Runs from position `first` to `last`, the one that was created last first."""
        return await self._ids(self._keys.thread_runs(thread_id), first, last, descending=True)

    async def state_writes(self, thread_id: str, first_ordinal: int, last_ordinal: int) -> list[StoredStateWrite]:
        """The state writes that follow the runs with these ordinals, in order."""
        key = self._keys.thread_states(thread_id)
        stored = await self._pipeline.send(
            "ZRANGEBYSCORE", key, first_ordinal, last_ordinal, "WITHSCORES", repeatable=True
        )
        writes = []
        for member, ordinal in zip(stored[::2], stored[1::2], strict=True):
            time_us, _, checkpoint_id = member.decode().partition(":")
            writes.append(StoredStateWrite(int(float(ordinal)), int(time_us), checkpoint_id))
        return writes


def notification_channel(keys: Keys, thread_id: str) -> str:
    """The channel of notifications about changes of a thread."""
    return keys.thread_notifications(thread_id)


def _compared(stored: FilteredFields) -> ComparedThread | None:
    status, *values = stored.plain
    if status is None:
        return None
    return ComparedThread(
        status.decode(), stored.metadata, opened_json(values[0], THREAD) if values and values[0] else None
    )


def _text(value: bytes | None) -> str | None:
    return None if value is None else value.decode()
