"""What Redis knows about the versions of graphs, as it was at the moment of reading."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from slipway.clock import iso
from slipway.errors import NotFound


@dataclass(frozen=True, slots=True)
class RegisteredVersion:
    """A version that a process has registered."""

    graph_id: str
    name: str
    number: int
    """A newer version of the graph has a greater one."""
    schema: str
    """The first 16 hex digits of its fingerprint. Empty if it is not known."""
    build: str
    """The id of the build that was registered last."""
    declared: bool
    since: str
    """When it was registered first, as ISO 8601."""

    def __str__(self) -> str:
        return f"{self.graph_id}@{self.name}"

    @classmethod
    def from_stored(cls, field: str, record: Mapping[str, Any]) -> RegisteredVersion:
        """The version of a field and its decoded value."""
        graph_id, _, name = field.rpartition("@")
        return cls(
            graph_id=graph_id,
            name=name,
            number=int(record["number"]),
            schema=record["schema"],
            build=record["build"],
            declared=record["declared"],
            since=iso(int(record["since_us"])),
        )


@dataclass(frozen=True, slots=True)
class Lane:
    """Due jobs that wait for a worker which serves a version."""

    graph_id: str
    version: str | None
    """None if any version of the graph will do."""
    is_fixed: bool
    """Whether no other version will do."""
    is_served: bool
    """Whether a live worker serves it."""
    jobs: int
    oldest_s: float
    """Since the first job was due."""

    def public(self) -> dict[str, Any]:
        """The members in `/ops/versions`."""
        return {
            "graph": self.graph_id,
            "version": self.version,
            "fixed": self.is_fixed,
            "served": self.is_served,
            "runs": self.jobs,
            "oldest_s": self.oldest_s,
        }

    @classmethod
    def from_reply(cls, lane: bytes, is_served: int, jobs: int, oldest_ms: bytes) -> Lane:
        """From what scripts reply."""
        graph_id, _, version = lane.decode().rpartition("@")
        is_fixed = version.endswith("!")
        return cls(graph_id, version.rstrip("!") or None, is_fixed, bool(is_served), int(jobs), int(oldest_ms) / 1000)


def _joined(lane: Lane, other: Lane) -> Lane:
    """The same lane of two shards."""
    return replace(
        lane,
        is_served=lane.is_served or other.is_served,
        jobs=lane.jobs + other.jobs,
        oldest_s=max(lane.oldest_s, other.oldest_s),
    )


def all_lanes(of_shards: Iterable[Sequence[Lane]]) -> list[Lane]:
    """The lanes of all shards, each once."""
    found: dict[tuple[str, str | None, bool], Lane] = {}
    for lane in (lane for lanes in of_shards for lane in lanes):
        name = lane.graph_id, lane.version, lane.is_fixed
        other = found.get(name)
        found[name] = lane if other is None else _joined(lane, other)
    return list(found.values())


@dataclass(frozen=True, slots=True)
class KnownVersions:
    """All registered versions, and who serves them."""

    versions: Sequence[RegisteredVersion]
    """Those of a graph from the oldest to the newest."""
    workers: Mapping[tuple[str, str], Sequence[str]]
    """The live workers that serve a version, by graph and name."""
    lanes: Sequence[Lane]
    served_builds: frozenset[str] = frozenset()
    """The ids of the builds that live workers serve. Several workers may serve one version from different builds."""

    def of_graph(self, graph_id: str) -> Sequence[RegisteredVersion]:
        """The versions of a graph, from the oldest to the newest. Empty for an unknown graph."""
        return [version for version in self.versions if version.graph_id == graph_id]

    def find(self, graph_id: str, name: str) -> RegisteredVersion | None:
        """One version; None if it was never registered."""
        return next((each for each in self.of_graph(graph_id) if each.name == name), None)

    def get(self, graph_id: str, name: str) -> RegisteredVersion:
        """One version. Raises `NotFound`, with the names of those that were registered."""
        if (version := self.find(graph_id, name)) is None:
            names = [each.name for each in self.of_graph(graph_id)]
            raise NotFound("graph version", f"{graph_id}@{name}", known=names or None)
        return version

    def workers_of(self, graph_id: str, name: str) -> Sequence[str]:
        """The ids of the live workers that serve a version."""
        return self.workers.get((graph_id, name), ())

    def continued_on(self, graph_id: str, name: str) -> str | None:
        """The version on which live workers continue threads of a version without a verdict: the same or, if it has no
        name of its own, the oldest one with its fingerprint. None if no live worker serves one."""
        if self.workers_of(graph_id, name):
            return name
        wanted = self.find(graph_id, name)
        if wanted is None or wanted.declared or not wanted.schema:
            return None
        same = (each.name for each in self.of_graph(graph_id) if each.schema == wanted.schema)
        return next((each for each in same if self.workers_of(graph_id, each)), None)

    def lanes_of(self, graph_id: str, name: str | None) -> Sequence[Lane]:
        """The lanes of the runs that wait for a version, or for any version of the graph."""
        return [lane for lane in self.lanes if (lane.graph_id, lane.version) == (graph_id, name)]

    def public(self, version: RegisteredVersion) -> dict[str, Any]:
        """The members of a version in `/ops/versions`."""
        lanes = self.lanes_of(version.graph_id, version.name)
        return {
            "graph": version.graph_id,
            "version": version.name,
            "number": version.number,
            "schema": version.schema or None,
            "build": version.build,
            "declared": version.declared,
            "since": version.since,
            "workers": len(self.workers_of(version.graph_id, version.name)),
            "waiting_runs": sum(lane.jobs for lane in lanes),
            "oldest_s": max((lane.oldest_s for lane in lanes), default=0.0),
        }
