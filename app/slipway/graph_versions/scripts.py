"""The script stubs of graph versions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import orjson
import ormsgpack

from slipway.graph_versions.record import KnownVersions, Lane, RegisteredVersion
from slipway.graphs.served_version import ServedVersion
from slipway.redis.connection import Arg
from slipway.redis.script_source import load
from slipway.redis.script_stubs import ScriptStubs

_VERSIONS_REGISTER = load("versions_register")
_VERSIONS_READ = load("versions_read")
_VERSION_LANES_REFRESH = load("version_lanes_refresh")

REASONS_A_CALL = 500
"""Runs of a lane whose reason one script changes: it takes some milliseconds of Redis."""


@dataclass(frozen=True, slots=True)
class LaneState:
    """Whether a live worker serves the version of a lane, and whether that has changed since the last refresh."""

    name: str
    is_served: bool
    has_changed: bool


class VersionScripts(ScriptStubs):
    """Each method takes one round trip."""

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
        return int(await self._pipeline.run(_VERSIONS_REGISTER, [], args))

    async def read(self) -> KnownVersions:
        """Everything that is known about versions, at one moment."""
        records, members, groups, lanes = await self._pipeline.run(_VERSIONS_READ, [], [self._keys.prefix])
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
        return KnownVersions(versions, workers, [Lane.from_reply(*lane) for lane in lanes], frozenset(builds))

    async def continued_on(self, graph_id: str, name: str) -> str | None:
        """`KnownVersions.continued_on`, read now."""
        return (await self.read()).continued_on(graph_id, name)

    async def refresh_lanes(self) -> list[LaneState]:
        """Checks for each lane whether a live worker serves its version, wakes such workers, and changes the reasons of
        the runs that wait if that has changed."""
        reply = await self._pipeline.run(_VERSION_LANES_REFRESH, [], self._args(limit=REASONS_A_CALL))
        return [LaneState(lane.decode(), bool(served), bool(changed)) for lane, served, changed in reply]
