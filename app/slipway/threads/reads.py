"""The read stubs of threads."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from slipway.access.filtered_reads import FilteredFields, read_filtered
from slipway.access.filters import AccessFilter
from slipway.redis.hash_fields import Fields
from slipway.redis.read_stubs import ReadStubs


@dataclass(frozen=True, slots=True)
class ThreadProgress:
    """`now_us` is the time of Redis. `next_queued_us` is the creation time of the first waiting run."""

    now_us: int
    next_queued_us: int | None
    active_run_id: str | None


@dataclass(frozen=True, slots=True)
class Following:
    """What follows a time in a thread: the first run and the first state write, each as (time in µs, id of the run or
    checkpoint). `incarnation` is None for an unknown thread."""

    now_us: int
    incarnation: str | None
    run: tuple[int, str] | None
    state: tuple[int, str] | None


@dataclass(frozen=True, slots=True)
class ThreadRuns:
    """All runs of a thread, oldest first, and how many of them have an ordinal."""

    incarnation: str | None
    started_runs: int
    run_ids: list[str]


class ThreadReads(ReadStubs):
    """One round trip each."""

    async def record(self, thread_id: str) -> Fields:
        """No fields for an unknown thread."""
        return await self._hash(self._keys.thread(thread_id))

    async def records(self, thread_ids: Iterable[str]) -> list[Fields]:
        """In the order of the ids."""
        return await self._hashes(map(self._keys.thread, thread_ids))

    async def filtered(self, thread_id: str, access_filter: AccessFilter, *plain: str) -> FilteredFields:
        """The fields `plain`, and those that the access filter needs."""
        return await read_filtered(self._pipeline, self._keys.thread(thread_id), access_filter, *plain)

    async def count(self) -> int:
        """How many threads exist."""
        return int(await self._pipeline.send("ZCARD", self._keys.threads, repeatable=True))

    async def ids(self, first: int, last: int, *, descending: bool) -> list[str]:
        """Threads from position `first` to `last`, by `updated_at`."""
        return await self._ids(self._keys.threads, first, last, descending=descending)

    async def incarnation(self, thread_id: str) -> str | None:
        """The creation time in µs; None for an unknown thread."""
        return await self._text(self._keys.thread(thread_id), "created_us")

    async def active_run(self, thread_id: str) -> str | None:
        """The run that executes, if one does."""
        return await self._text(self._keys.thread(thread_id), "active_run_id")

    async def now_us(self) -> int:
        """The time of Redis."""
        seconds, microseconds = await self._pipeline.send("TIME", repeatable=True)
        return int(seconds) * 1_000_000 + int(microseconds)

    async def progress(self, thread_id: str) -> ThreadProgress:
        """Which run executes, and which is next."""
        key = self._keys.thread_queue(thread_id)
        head = self._pipeline.send("ZRANGE", key, 0, 0, "WITHSCORES", repeatable=True)
        active = self._pipeline.send("HGET", self._keys.thread(thread_id), "active_run_id", repeatable=True)
        now_us, first, run_id = await self.now_us(), await head, await active
        return ThreadProgress(now_us, int(float(first[1])) if first else None, _text(run_id))

    async def order_us(self, thread_id: str, run_id: str) -> int | None:
        """The place of a run among those of its thread: its creation time in µs. None when it was deleted."""
        score = await self._pipeline.send("ZSCORE", self._keys.thread_runs(thread_id), run_id, repeatable=True)
        return None if score is None else int(float(score))

    async def following(self, thread_id: str, after_us: int) -> Following:
        """What follows a time."""
        incarnation = self._pipeline.send("HGET", self._keys.thread(thread_id), "created_us", repeatable=True)
        indexes = (self._keys.thread_runs(thread_id), self._keys.thread_states(thread_id))
        limits = (f"({after_us}", "+inf", "WITHSCORES", "LIMIT", 0, 1)
        reads = [self._pipeline.send("ZRANGEBYSCORE", index, *limits, repeatable=True) for index in indexes]
        now_us = await self.now_us()
        run, state = [(int(float(first[1])), first[0].decode()) if (first := await read) else None for read in reads]
        return Following(now_us, _text(await incarnation), run, state)

    async def runs(self, thread_id: str) -> ThreadRuns:
        """All runs."""
        key = self._keys.thread(thread_id)
        fields = self._pipeline.send("HMGET", key, "created_us", "started_runs", repeatable=True)
        run_ids = await self._ids(self._keys.thread_runs(thread_id), 0, -1)
        incarnation, started_runs = await fields
        return ThreadRuns(_text(incarnation), int(started_runs or 0), run_ids)

    async def started_runs(self, thread_id: str) -> tuple[int, str | None]:
        """How many runs of the thread have an ordinal, and the run that executes."""
        key = self._keys.thread(thread_id)
        started_runs, active = await self._pipeline.send("HMGET", key, "started_runs", "active_run_id", repeatable=True)
        return int(started_runs or 0), _text(active)

    def channel(self, thread_id: str) -> str:
        """The channel of notifications about changes of a thread."""
        return self._keys.thread_notifications(thread_id)


def _text(value: bytes | None) -> str | None:
    return None if value is None else value.decode()
