"""Reads what still needs a version of a graph. Its workers must not be stopped for good before nothing does."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

from slipway.graph_versions.pin import PIN_FIELDS, pin_of
from slipway.indexes.terms import metadata_terms
from slipway.redis.per_shard import PerShard
from slipway.redis.pipeline import Pipeline
from slipway.redis.read_stubs import ReadStubs
from slipway.redis.shards import Shards
from slipway.serialization.json_encoding import dumps

_PAGE: Final = 500
"""Records that are read in one round trip."""

_SETS: Final = ("unfinished", "waiting_for_approval")
"""The sets of the runs that have not ended."""


@dataclass(frozen=True, slots=True)
class VersionNeeds:
    """How many runs and threads need a version."""

    queued: int = 0
    running: int = 0
    paused: int = 0
    waiting: int = 0
    """Runs that wait for an answer: the run that answers executes on the version of the thread."""
    threads: int = 0
    """Threads that stay on the version for ever, because the graph's `moves` is `pinned`."""

    def __add__(self, other: VersionNeeds) -> VersionNeeds:
        """What both need together."""
        return VersionNeeds(
            self.queued + other.queued,
            self.running + other.running,
            self.paused + other.paused,
            self.waiting + other.waiting,
            self.threads + other.threads,
        )

    @property
    def total(self) -> int:
        return self.queued + self.running + self.paused + self.waiting + self.threads

    def public(self) -> dict[str, int]:
        """The members in `/ops/versions` and in `slipway drain --json`."""
        return {name: getattr(self, name) for name in ("queued", "running", "paused", "waiting", "threads", "total")}


class NeedsReads:
    """Reads all shards at once, each in pages of `_PAGE` records. What is created or ends meanwhile may be missing or
    counted."""

    def __init__(self, pipeline: Pipeline, shards: Shards) -> None:
        self._shards = PerShard(shards, partial(_ShardReads, pipeline))

    async def needs(self, graph_id: str, version: str, *, pinned: bool) -> VersionNeeds:
        """What needs the version. `pinned`: threads of the graph never move, so that also those without a run need
        it."""
        found = await asyncio.gather(*(each.needs(graph_id, version, pinned=pinned) for each in self._shards))
        return sum(found, VersionNeeds())


class _ShardReads(ReadStubs):
    """Reads one shard."""

    async def needs(self, graph_id: str, version: str, *, pinned: bool) -> VersionNeeds:
        """See `NeedsReads`."""
        phases: Counter[str] = Counter()
        for name in _SETS:
            async for run_ids in self._members("ZSCAN", self._keys.runs_with(name), _PAGE):
                phases.update(await self._phases(run_ids, graph_id, version))
        return VersionNeeds(
            queued=phases["queued"],
            running=phases["running"],
            paused=phases["paused"],
            waiting=phases["waiting_for_approval"],
            threads=await self._pinned_threads(graph_id, version) if pinned else 0,
        )

    async def _phases(self, run_ids: Sequence[str], graph_id: str, version: str) -> list[str]:
        """The phases of those of the runs that need the version. A run that no worker has claimed yet has the version
        of its thread. So has one that waits for an answer: its thread may have moved meanwhile."""
        fields = ("phase", "graph_id", "version", "thread_id")
        runs = await self._fields([self._keys.run(run_id) for run_id in run_ids], *fields)
        of_graph = [run for run in runs if run[1] == graph_id.encode()]
        by_thread = [run for run in of_graph if run[3] and (not run[2] or run[0] == b"waiting_for_approval")]
        threads = await self._fields([self._keys.thread(run[3].decode()) for run in by_thread], *PIN_FIELDS)
        pins = {id(run): pin_of(graph_id, *pin) for run, pin in zip(by_thread, threads, strict=True)}
        return [
            run[0].decode()
            for run in of_graph
            if (((pin := pins.get(id(run))) and pin.version) or (run[2] or b"").decode()) == version
        ]

    async def _pinned_threads(self, graph_id: str, version: str) -> int:
        term = metadata_terms({"graph_id": dumps(graph_id)})
        count = 0
        async for thread_ids in self._members("ZSCAN", self._keys.threads_with(term), _PAGE):
            threads = await self._fields([self._keys.thread(thread_id) for thread_id in thread_ids], *PIN_FIELDS)
            count += sum(pin_of(graph_id, *pin).version == version for pin in threads)
        return count

    async def _fields(self, keys: Sequence[str], *fields: str) -> list[list[Any]]:
        reads = (self._pipeline.send("HMGET", key, *fields, repeatable=True) for key in keys)
        return list(await asyncio.gather(*reads))
