"""The script stubs of graph versions."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson
import ormsgpack

from slipway.graph_versions.record import KnownVersions, Lane, RegisteredVersion, all_lanes
from slipway.graphs.served_version import ServedVersion
from slipway.redis.connection import Arg
from slipway.redis.per_shard import PerShard
from slipway.redis.pipeline import Pipeline
from slipway.redis.reachable_shards import from_reachable
from slipway.redis.script_source import load
from slipway.redis.script_stubs import ScriptStubs
from slipway.redis.shards import Shards
from slipway.redis.shared_records import SharedRecordStubs

_VERSIONS_REGISTER = load("versions_register")
_VERSIONS_READ = load("versions_read")
_VERSION_LANES_READ = load("version_lanes_read")
_VERSION_LANES_REFRESH = load("version_lanes_refresh")

REASONS_A_CALL = 500
"""Runs of a lane whose reason one script changes: it takes some milliseconds of Redis."""


@dataclass(frozen=True, slots=True)
class LaneState:
    """Whether a live worker serves the version of a lane, and whether that has changed since the last refresh."""

    name: str
    is_served: bool
    has_changed: bool


class VersionScripts(SharedRecordStubs):
    """The versions of the deployment. The records of versions are shared records, which the first shard decides; their
    builds and structures are only there. Each method takes one round trip; a registration that changes a version takes
    those of the copies too."""

    def __init__(self, pipeline: Pipeline, shards: Shards) -> None:
        super().__init__(pipeline, shards)
        self._lanes = PerShard(shards, lambda keys: LaneScripts(pipeline, keys))

    async def register(
        self,
        versions: Sequence[ServedVersion],
        *,
        serves: bytes = b"",
        group: str | None = None,
        builds: Mapping[str, bytes] | None = None,
        structures: Mapping[str, bytes] | None = None,
    ) -> int:
        """Registers versions, those of a graph from the oldest to the newest. `builds` (JSON by id) and `structures`
        (stored form by schema) may be left out if they were registered before. `group` is that of a worker, which
        serves `serves`. Returns how many of the versions no live worker serves with this code; 0 without `group`."""
        members = [
            {
                "graph_id": version.graph_id,
                "name": version.name,
                "schema": version.schema,
                "build": version.build,
                "declared": version.declared,
            }
            for version in versions
        ]
        args: list[Arg] = [*self._args(versions=members, group=group), serves]
        args += [part for build in (builds or {}).items() for part in build]
        args.append("")
        args += [part for structure in (structures or {}).items() for part in structure]
        newly_served, has_changed = await self._pipeline.run(_VERSIONS_REGISTER, [], args)
        if has_changed or builds is not None:  # the process that registered a version before may have died
            await self._copy()
        return int(newly_served)

    async def read(self) -> KnownVersions:
        """Everything that is known about versions; of each shard at one moment."""
        (records, members, groups, lanes), *others = await asyncio.gather(
            self._pipeline.run(_VERSIONS_READ, [], [self._keys.prefix]),
            *(shard.read() for shard in [*self._lanes][1:]),
        )
        versions = [
            RegisteredVersion.from_stored(field.decode(), orjson.loads(stored))
            for field, stored in zip(records[::2], records[1::2], strict=True)
        ]
        versions.sort(key=lambda version: (version.graph_id, version.number))
        serves = {group: ormsgpack.unpackb(stored) for group, stored in zip(groups[::2], groups[1::2], strict=True)}
        workers: dict[tuple[str, str], list[str]] = {}
        builds: set[str] = set()
        for member in members:
            group, _, worker = member.partition(b" ")
            for graph_id, served in serves.get(group, {}).items():
                for name, (_, build) in served["versions"].items():
                    builds.add(build)
                    workers.setdefault((graph_id, name), []).append(worker.decode())
        return KnownVersions(versions, workers, all_lanes([_lanes_of(lanes), *others]), frozenset(builds))

    async def continued_on(self, graph_id: str, name: str) -> str | None:
        """`KnownVersions.continued_on`, read now."""
        return (await self.read()).continued_on(graph_id, name)

    async def refresh_lanes(self) -> list[LaneState]:
        """Does in each shard that replies what `LaneScripts.refresh` says."""
        if len(self._lanes) == 1:
            return await self._lanes[0].refresh()
        of_shards = await from_reachable({number: shard.refresh() for number, shard in enumerate(self._lanes)})
        return [lane for lanes in of_shards.values() for lane in lanes]


class LaneScripts(ScriptStubs):
    """The lanes of one shard. Each method takes one round trip."""

    async def read(self) -> list[Lane]:
        """Those that have jobs."""
        return _lanes_of(await self._pipeline.run(_VERSION_LANES_READ, [], [self._keys.prefix]))

    async def refresh(self) -> list[LaneState]:
        """Checks for each lane whether a live worker serves its version, wakes such workers, and changes the reasons of
        the runs that wait if that has changed."""
        reply = await self._pipeline.run(_VERSION_LANES_REFRESH, [], self._args(limit=REASONS_A_CALL))
        return [LaneState(lane.decode(), bool(served), bool(changed)) for lane, served, changed in reply]


def _lanes_of(reply: Sequence[Sequence[Any]]) -> list[Lane]:
    return [Lane.from_reply(*lane) for lane in reply]
