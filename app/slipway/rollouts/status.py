"""A rollout as operators see it: each version with its state, the share of new threads that it really got, and how its
runs ended since the ramp began."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

from slipway.graphs.rollouts_section import RolloutsSection
from slipway.rollouts.changes import GraphVersions
from slipway.rollouts.counts import NO_COUNTS, RampCounts, VersionCounts, percent
from slipway.rollouts.ended_ramp import EndedRamp
from slipway.rollouts.guard import runs_until_look
from slipway.rollouts.record import WHOLE, Rollout, VersionState


@dataclass(frozen=True, slots=True)
class VersionStatus:
    """One version. Shares are in percent, and None if there is nothing of which they are a share."""

    version: str
    state: VersionState
    weight_percent: float
    """The share of the new threads that it is to get."""
    counts: VersionCounts
    all_threads: int
    """The new threads of all versions since the ramp began."""
    workers: int
    """How many live workers serve it."""

    @property
    def threads_percent(self) -> float | None:
        """The share of the new threads that it got since the ramp began."""
        return percent(self.counts.threads, self.all_threads)

    def public(self) -> dict[str, Any]:
        """The version as clients receive it."""
        return {
            "version": self.version,
            "state": self.state.value,
            "workers": self.workers,
            "weight_percent": self.weight_percent,
        } | self.counts.public(self.all_threads)


@dataclass(frozen=True, slots=True)
class RolloutStatus:
    """A rollout with its versions, the current one first."""

    rollout: Rollout
    versions: Sequence[VersionStatus]
    looks: int
    """How often the versions were compared."""
    next_look_runs: int | None
    """How many runs of the ramping version must have ended before they are compared again. None if a version is not
    rolled back without an operator, or none is ramping."""
    last: EndedRamp | None = None
    """The last ramp, until a version ramps again."""

    def public(self) -> dict[str, Any]:
        """The status as clients receive it."""
        versions = [version.public() for version in self.versions]
        return self.rollout.public() | {
            "versions": versions,
            "looks": self.looks,
            "next_look_runs": self.next_look_runs,
            "last_ramp": None if self.last is None else self.last.public(),
        }


def status_of(
    rollout: Rollout,
    counts: RampCounts,
    known: GraphVersions,
    rules: RolloutsSection,
    drained: Collection[str] = (),
    last: EndedRamp | None = None,
) -> RolloutStatus:
    """The status without the versions that are neither part of the rollout nor declared nor served. Nothing needs the
    `drained` versions any more."""
    ramp = rollout.ramp
    of_ramp = counts if ramp is not None and counts.ramp_id == ramp.ramp_id else RampCounts()
    others = [version for version in reversed(known.names) if version not in known.old - {*rollout.left}]
    first = [rollout.current, *([ramp.version] if ramp is not None else [])]
    versions = [
        VersionStatus(
            version,
            rollout.state_of(version, is_needed=version not in drained),
            _weight_of(rollout, version) / WHOLE * 100,
            of_ramp.of(version) if ramp is not None else NO_COUNTS,
            of_ramp.threads,
            known.workers.get(version, 0),
        )
        for version in dict.fromkeys([*first, *others])
    ]
    guarded = ramp is not None and rules.automatic
    next_look = runs_until_look(of_ramp.looks + 1, rules) if guarded else None
    return RolloutStatus(rollout, versions, of_ramp.looks, next_look, last)


def _weight_of(rollout: Rollout, version: str) -> int:
    ramping = 0 if rollout.ramp is None else rollout.ramp.weight
    if version == rollout.current:
        return WHOLE - ramping
    return ramping if rollout.ramp is not None and version == rollout.ramp.version else 0
