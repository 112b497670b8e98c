"""The stubs of health: pages of ids for the doctor, live workers, and the probe key."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

from slipway.redis.key_scan import IdsInShard, KeyScan, ScannedPage
from slipway.redis.keys import Keys
from slipway.redis.per_shard import PerShard
from slipway.redis.pipeline import Pipeline
from slipway.redis.read_stubs import ReadStubs
from slipway.redis.shards import Shards
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
    """Ids of one kind in one shard, that of `keys`, which `HealthScripts.doctor` checks. `container` is the key of the
    queue, or the name of the concurrency group, that contains them, or that of the set of an index. `parked`: the queue
    is a parked queue."""

    kind: str
    ids: list[str]
    keys: Keys
    container: str = ""
    parked: bool = False


INDEXED_KINDS: Final = ("run", "cron", "assistant", "review")
"""The kinds of records, beside threads, that have indexes. Each is stored as a hash of its own."""


class _ShardReads(ReadStubs):
    """Pages of one shard of threads. Each page is one round trip."""

    async def pages_in_progress(self) -> AsyncIterator[IdPage]:
        """See `HealthReads`."""
        lanes = await self._pipeline.send("HKEYS", self._keys.version_lanes, repeatable=True)
        in_lanes = [self._keys.version_queue(lane.decode()) for lane in lanes]
        for queue in (self._keys.queue, self._keys.suspect_queue, self._keys.later_queue, *in_lanes):
            async for page in self.pages_of("job", queue):
                yield page
        for kind, key in (
            ("lease", self._keys.leases),
            ("paused", self._keys.paused_runs),
            ("queued", self._keys.queued_runs),
        ):
            async for page in self.pages_of(kind, key):
                yield page

    async def pages_of_threads(self) -> AsyncIterator[IdPage]:
        async for page in self.pages_of("thread", self._keys.threads):
            yield page

    async def pages_of_unfinished_runs(self) -> AsyncIterator[IdPage]:
        """Pages of the entries of the index of unfinished runs."""
        async for page in self.pages_of("run_entry", self._keys.runs_with(UNFINISHED)):
            yield page

    async def pages_of_parked_jobs(self, group: str) -> AsyncIterator[IdPage]:
        async for page in self.pages_of("job", self._keys.parked_queue(group), parked=True):
            yield page

    async def pages_of_slots(self, group: str) -> AsyncIterator[IdPage]:
        """Pages of the slots of a concurrency group."""
        async for runs in self._members("SSCAN", self._keys.group_runs(group), PAGE):
            yield IdPage("group_slot", runs, self._keys, group)

    async def pages_of(self, kind: str, key: str, *, parked: bool = False) -> AsyncIterator[IdPage]:
        """Pages of a sorted set."""
        async for members in self._members("ZSCAN", key, PAGE):
            yield IdPage(kind, members, self._keys, key, parked)

    async def number_of_threads(self) -> int:
        return int(await self._pipeline.send("ZCARD", self._keys.threads, repeatable=True))

    async def has_threads(self) -> bool:
        return bool(await self._pipeline.send("EXISTS", self._keys.threads, repeatable=True))


class HealthReads:
    """Reads all shards. Each page is one round trip."""

    def __init__(self, pipeline: Pipeline, shards: Shards) -> None:
        self._pipeline, self._shards = pipeline, shards
        self._threads = PerShard(shards, partial(_ShardReads, pipeline))
        self._scan = KeyScan(pipeline, shards)

    async def pages_in_progress(self) -> AsyncIterator[IdPage]:
        """Pages of jobs, also those in lanes, leases, paused and queued runs. Their number depends on the number of
        unfinished runs."""
        for shard in self._threads:
            async for page in shard.pages_in_progress():
                yield page

    async def pages_of_records(self) -> AsyncIterator[IdPage]:
        """Pages of threads, runs, crons, assistants, reviews, entries of indexes, parked jobs, slots of concurrency
        groups, and namespaces of the store. Their number depends on the number of records."""
        for pages in (
            self.pages_of_threads(),
            self.pages_of_indexed_records(),
            self.pages_of_index_entries(),
            self.pages_of_groups(),
            self.pages_of_namespaces(),
        ):
            async for page in pages:
                yield page

    async def pages_of_namespaces(self) -> AsyncIterator[IdPage]:
        """Pages of the namespaces of the store, each with a dot at its end."""
        store = self._shards.store
        async for page in _ShardReads(self._pipeline, store).pages_of("namespace", store.store_namespaces):
            yield page

    async def pages_of_threads(self) -> AsyncIterator[IdPage]:
        for shard in self._threads:
            async for page in shard.pages_of_threads():
                yield page

    async def pages_of_groups(self) -> AsyncIterator[IdPage]:
        """Pages of parked jobs, and of the slots of concurrency groups."""
        async for keys, group in self._keys_of_kind("parked_queue", "zset"):
            async for page in _ShardReads(self._pipeline, keys).pages_of_parked_jobs(group):
                yield page
        async for keys, group in self._keys_of_kind("group_runs", "set"):
            async for page in _ShardReads(self._pipeline, keys).pages_of_slots(group):
                yield page

    async def pages_of_indexed_records(self) -> AsyncIterator[IdPage]:
        """Pages of runs, crons, assistants and reviews, whether or not an index names them. Some are empty."""
        for kind in INDEXED_KINDS:
            async for scanned in self._scan.all(kind, "hash"):
                for page in pages_of_ids(kind, scanned.found):
                    yield page
                if not scanned.found:  # so that each page costs one round trip
                    yield IdPage(kind, [], self._shards.home)

    async def page_of_kind(self, kind: str, cursor: str) -> ScannedPage:
        """Those records of one of the `INDEXED_KINDS` that are among the next keys."""
        return await self._scan.page(kind, "hash", cursor)

    async def pages_of_unfinished_runs(self) -> AsyncIterator[IdPage]:
        """Pages of the entries of the index of unfinished runs."""
        for shard in self._threads:
            async for page in shard.pages_of_unfinished_runs():
                yield page

    async def number_of_keys(self) -> int:
        """How many keys the database has, also those of other deployments."""
        return await self._scan.number_of_keys()

    async def number_of_threads(self) -> int:
        return sum(await asyncio.gather(*(shard.number_of_threads() for shard in self._threads)))

    async def pages_of_index_entries(self) -> AsyncIterator[IdPage]:
        """Pages of the members of all sets of the indexes of runs, assistants, crons and reviews."""
        assistants, crons = self._shards.assistants, self._shards.crons
        sets = [("assistant", assistants, assistants.assistants), ("cron", crons, crons.crons)]
        for keys in self._shards.threads:
            sets += [("review", keys, key) for key in (keys.reviews, keys.reviews_by_due, keys.reviews_due)]
        for kind, keys, key in sets:
            async for page in _ShardReads(self._pipeline, keys).pages_of(f"{kind}_entry", key):
                yield page
        for kind, set_kinds in _SETS_OF.items():
            for set_kind in set_kinds:
                async for keys, name in self._keys_of_kind(set_kind, "zset"):
                    key = keys.named(set_kind, name)
                    async for page in _ShardReads(self._pipeline, keys).pages_of(f"{kind}_entry", key):
                        yield page

    async def arq_fault(self) -> str | None:
        """The worker that has reported a fault of the arq application in the last seconds."""
        worker = await self._pipeline.send("GET", self._shards.processes.arq_fault, repeatable=True)
        return None if worker is None else str(worker.decode())

    async def has_threads(self) -> bool:
        """Whether any thread is stored under the prefix."""
        return any(await asyncio.gather(*(shard.has_threads() for shard in self._threads)))

    async def _keys_of_kind(self, kind: str, stored_as: str) -> AsyncIterator[tuple[Keys, str]]:
        """The shard and the id of each key of a kind."""
        async for page in self._scan.all(kind, stored_as):
            for found in page.found:
                for each in found.ids:
                    yield found.keys, each


def pages_of_ids(kind: str, found: Sequence[IdsInShard]) -> Iterator[IdPage]:
    """Ids that were found together, at most `PAGE` at a time."""
    for shard in found:
        for first in range(0, len(shard.ids), PAGE):
            yield IdPage(kind, shard.ids[first : first + PAGE], shard.keys)


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
