"""The last ramp of a graph: what was counted until it ended, how it ended, and by whom."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final

import orjson

from slipway.rollouts.counts import RampCounts, VersionCounts
from slipway.rollouts.record import Action, HistoryEntry, Ramp, Rollout
from slipway.serialization.json_encoding import dumps

_HOW: Final[Mapping[Action, str]] = {Action.PROMOTED: "promoted", Action.ROLLED_BACK: "rolled back"}


@dataclass(frozen=True, slots=True)
class EndOfRamp:
    """What is stored with the counts when a ramp ends."""

    version: str
    """The version that was ramping."""
    current: str
    """The version that all other new threads got."""
    weight: int
    """How many of 10,000 new threads were to get the version at the end."""
    since: str
    """When the ramp began, as ISO 8601."""
    at: str
    """When it ended, as ISO 8601."""
    by: str
    action: Action
    reason: str | None = None

    def stored(self) -> str:
        """The stored form, as JSON."""
        return dumps(asdict(self)).decode()


def end_of(before: Rollout, ramp: Ramp, entry: HistoryEntry) -> EndOfRamp:
    """The end of this ramp of the rollout `before`, by the change of this entry."""
    return EndOfRamp(
        ramp.version, before.current, ramp.weight, ramp.since, entry.at, entry.by, entry.action, entry.reason
    )


def end_from(stored: bytes) -> EndOfRamp:
    """The end of a stored value."""
    members = orjson.loads(stored)
    return EndOfRamp(**{**members, "action": Action(members["action"])})


@dataclass(frozen=True, slots=True)
class EndedRamp:
    """A ramp with what it has seen."""

    end: EndOfRamp
    counts: RampCounts

    def public(self) -> dict[str, Any]:
        """The ramp as clients receive it. Shares are in percent."""
        end = self.end
        return {
            "version": end.version,
            "percent": end.weight / 100,
            "since": end.since,
            "ended_at": end.at,
            "ended": end.action.value,
            "by": end.by,
            "reason": end.reason,
            "versions": [
                {"version": version} | self.counts.of(version).public(self.counts.threads)
                for version in (end.current, end.version)
            ],
        }

    def __str__(self) -> str:
        """What an operator asks first, in a few sentences."""
        end, counts = self.end, self.counts
        new, old = counts.of(end.version), counts.of(end.current)
        reason = f" ({end.reason})" if end.reason else ""
        return (
            f"Last rollout: version {end.version} at {end.weight / 100:g} % got {new.threads:,} of {counts.threads:,} "
            f"new threads from {end.since}; {_runs(new)}. Version {end.current}: {_runs(old)}. "
            f"{_HOW.get(end.action, end.action.value).capitalize()} at {end.at} by {end.by}{reason}"
        )


def _runs(counts: VersionCounts) -> str:
    """How the runs of one version have ended."""
    if not counts.runs:
        return "no run has ended"
    p95_ms = counts.p95_ms
    p95 = "" if p95_ms is None else f", p95 {p95_ms:,.0f} ms"
    return (
        f"{counts.failed:,} of {counts.runs:,} runs failed ({counts.errors.share:.1%}), {counts.ceilings:,} reached a "
        f"ceiling{p95}"
    )
