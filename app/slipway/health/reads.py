"""The stubs of health: pages of ids for the doctor, live workers, and the probe key."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from slipway.redis.key_count import number_of_keys
from slipway.redis.read_stubs import PageOfIds, ReadStubs
from slipway.runs.index_terms import UNFINISHED

PAGE: Final = 100
"""Approximate number of ids in a page. A script that checks this many ids blocks Redis for about a millisecond."""

_SETS_OF: Final = {
    "run": ("runs_with",),
    "assistant": ("graph_assistants", "assistants_with", "assistants_by"),
    "cron": ("crons_with", "crons_by"),
    "review": ("reviews_with", "reviews_of_graph"),
}
"""By kind of record: the key kinds of the sets of its indexes whose names have an id."""


@dataclass(frozen=True, slots=True)
class IdPage:
    """Ids of one kind that `HealthScripts.doctor` checks. `container` is the key of the queue, or the name of the
    concurrency group, that contains them, or that of the set of an index. `parked`: the queue is a parked queue."""

    kind: str
    ids: list[str]
    container: str = ""
    parked: bool = False


INDEXED_KINDS: Final = ("run", "cron", "assistant", "review")
"""The kinds of records, beside threads, that have indexes. Each is stored as a hash of its own."""


class HealthReads(ReadStubs):
    """Each page is one round trip."""

    async def pages_in_progress(self) -> AsyncIterator[IdPage]:
        """Pages of jobs, also those in lanes, leases, paused and queued runs. Their number depends on the number of
        unfinished runs."""
        lanes = await self._pipeline.send("HKEYS", self._keys.version_lanes, repeatable=True)
        in_lanes = [self._keys.version_queue(lane.decode()) for lane in lanes]
        for queue in (self._keys.queue, self._keys.suspect_queue, self._keys.later_queue, *in_lanes):
            async for jobs in self._members("ZSCAN", queue, PAGE):
                yield IdPage("job", jobs, queue)
        async for runs in self._members("ZSCAN", self._keys.leases, PAGE):
            yield IdPage("lease", runs)
        async for runs in self._members("ZSCAN", self._keys.paused_runs, PAGE):
            yield IdPage("paused", runs)
        async for members in self._members("ZSCAN", self._keys.queued_runs, PAGE):
            yield IdPage("queued", members)

    async def pages_of_records(self) -> AsyncIterator[IdPage]:
        """Pages of threads, runs, crons, assistants, reviews, entries of indexes, parked jobs, slots of concurrency
        groups, and namespaces of the store. Their number depends on the number of records."""
        async for page in self.pages_of_threads():
            yield page
        async for page in self.pages_of_indexed_records():
            yield page
        async for page in self.pages_of_index_entries():
            yield page
        async for page in self.pages_of_groups():
            yield page
        async for page in self.pages_of_namespaces():
            yield page

    async def pages_of_namespaces(self) -> AsyncIterator[IdPage]:
        """Pages of the namespaces of the store, each with a dot at its end."""
        async for names in self._members("ZSCAN", self._keys.store_namespaces, PAGE):
            yield IdPage("namespace", names)

    async def pages_of_threads(self) -> AsyncIterator[IdPage]:
        async for threads in self._members("ZSCAN", self._keys.threads, PAGE):
            yield IdPage("thread", threads)

    async def pages_of_groups(self) -> AsyncIterator[IdPage]:
        """Pages of parked jobs, and of the slots of concurrency groups."""
        async for groups in self._ids_of_kind("parked_queue", "zset"):
            for group in groups:
                key = self._keys.parked_queue(group)
                async for jobs in self._members("ZSCAN", key, PAGE):
                    yield IdPage("job", jobs, key, parked=True)
        async for groups in self._ids_of_kind("group_runs", "set"):
            for group in groups:
                async for runs in self._members("SSCAN", self._keys.group_runs(group), PAGE):
                    yield IdPage("group_slot", runs, group)

    async def pages_of_indexed_records(self) -> AsyncIterator[IdPage]:
        """Pages of runs, crons, assistants and reviews, whether or not an index names them. Some are empty."""
        for kind in INDEXED_KINDS:
            async for ids in self._ids_of_kind(kind, "hash"):
                yield IdPage(kind, ids)

    async def page_of_kind(self, kind: str, cursor: str) -> PageOfIds:
        """Those records of one of the `INDEXED_KINDS` that are among the next keys of the database."""
        return await self._page_of_kind(kind, "hash", cursor)

    async def pages_of_unfinished_runs(self) -> AsyncIterator[IdPage]:
        """Pages of the entries of the index of unfinished runs."""
        key = self._keys.runs_with(UNFINISHED)
        async for runs in self._members("ZSCAN", key, PAGE):
            yield IdPage("run_entry", runs, key)

    async def number_of_keys(self) -> int:
        """How many keys the database has, also those of other deployments."""
        return await number_of_keys(self._pipeline)

    async def number_of_threads(self) -> int:
        return int(await self._pipeline.send("ZCARD", self._keys.threads, repeatable=True))

    async def pages_of_index_entries(self) -> AsyncIterator[IdPage]:
        """Pages of the members of all sets of the indexes of runs, assistants, crons and reviews."""
        keys = self._keys
        sets = {
            "assistant": [keys.assistants],
            "cron": [keys.crons],
            "review": [keys.reviews, keys.reviews_by_due, keys.reviews_due],
        }
        for kind, set_kinds in _SETS_OF.items():
            for every in sets.get(kind, []):
                async for members in self._members("ZSCAN", every, PAGE):
                    yield IdPage(f"{kind}_entry", members, every)
            for set_kind in set_kinds:
                async for names in self._ids_of_kind(set_kind, "zset"):
                    for name in names:
                        key = self._keys.named(set_kind, name)
                        async for members in self._members("ZSCAN", key, PAGE):
                            yield IdPage(f"{kind}_entry", members, key)

    async def live_workers(self, since_ms: int) -> int:
        """How many workers have sent a heartbeat since `since_ms`."""
        return int(await self._pipeline.send("ZCOUNT", self._keys.workers, since_ms, "+inf", repeatable=True))

    async def arq_fault(self) -> str | None:
        """The worker that has reported a fault of the arq application in the last seconds."""
        worker = await self._pipeline.send("GET", self._keys.arq_fault, repeatable=True)
        return None if worker is None else str(worker.decode())

    async def has_threads(self) -> bool:
        """Whether any thread is stored under the prefix."""
        return bool(await self._pipeline.send("EXISTS", self._keys.threads, repeatable=True))


class Probe(ReadStubs):
    """Writes, reads and deletes one key of this process. They are never sent again: one round trip is measured."""

    async def replies(self, process: str, token: str, ttl_ms: int) -> Sequence[Any]:
        """The replies to the three commands, which are sent together. Each is a value or an exception."""
        key = self._keys.probe(process)
        return await asyncio.gather(
            self._pipeline.send("SET", key, token, "PX", ttl_ms),
            self._pipeline.send("GET", key),
            self._pipeline.send("DEL", key),
            return_exceptions=True,
        )
