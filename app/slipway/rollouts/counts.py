"""What the runs of the two versions did since a ramp began."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from slipway.rollouts.statistics import Durations, Proportion


@dataclass(frozen=True, slots=True)
class VersionCounts:
    """The new threads and the ended runs of one version. Cancelled runs, and those that failed by their input, are in
    no count of runs."""

    threads: int = 0
    """New threads that got the version."""
    succeeded: int = 0
    """Runs that completed, or asked a question."""
    failed: int = 0
    """Runs that failed, except by a ceiling."""
    ceilings: int = 0
    """Runs that failed by a ceiling."""
    durations: Durations = field(default_factory=lambda: Durations({}))
    """From the start of the first attempt to the end, of the runs that succeeded."""

    @property
    def runs(self) -> int:
        return self.succeeded + self.failed + self.ceilings

    @property
    def errors(self) -> Proportion:
        return Proportion(self.failed, self.runs)

    @property
    def ceiling_hits(self) -> Proportion:
        return Proportion(self.ceilings, self.runs)

    @property
    def errors_percent(self) -> float | None:
        return percent(self.failed, self.runs)

    @property
    def ceilings_percent(self) -> float | None:
        return percent(self.ceilings, self.runs)

    @property
    def p95_ms(self) -> float | None:
        """The 95th percentile of the durations of runs that succeeded, within 10 %. None if there is none."""
        return self.durations.quantile_ms(0.95)

    def public(self, all_threads: int) -> dict[str, Any]:
        """The counts as clients receive them. Shares are in percent, that of the new threads of `all_threads`."""
        return {
            "threads": self.threads,
            "threads_percent": percent(self.threads, all_threads),
            "runs": self.runs,
            "failed": self.failed,
            "errors_percent": self.errors_percent,
            "ceilings": self.ceilings,
            "ceilings_percent": self.ceilings_percent,
            "p95_ms": None if self.p95_ms is None else round(self.p95_ms, 2),
        }


def percent(part: int, whole: int) -> float | None:
    """With two digits behind the point. None if there is nothing of which it is a share."""
    return round(part / whole * 100, 2) if whole else None


NO_COUNTS = VersionCounts()


@dataclass(frozen=True, slots=True)
class RampCounts:
    """The counts of one ramp. `ramp_id` is empty if no version is ramping."""

    ramp_id: str = ""
    looks: int = 0
    """How often the versions have been compared."""
    by_version: Mapping[str, VersionCounts] = field(default_factory=dict)

    def of(self, version: str) -> VersionCounts:
        return self.by_version.get(version, NO_COUNTS)

    @property
    def threads(self) -> int:
        """The new threads of all versions."""
        return sum(version.threads for version in self.by_version.values())


_THREADS: Final = "threads:"
_ENDED: Final = "ended:"
_DURATIONS: Final = "ms:"


def counts_from(numbers: Mapping[str, int], ramp_id: str) -> RampCounts:
    """The counts of stored numbers: `threads:VERSION`, `ended:OUTCOME:VERSION` and `ms:VERSION:BUCKET`."""
    plain: dict[str, dict[str, int]] = defaultdict(dict)
    buckets: dict[str, dict[int, int]] = defaultdict(dict)
    for name, number in numbers.items():
        if name.startswith(_THREADS):
            plain[name.removeprefix(_THREADS)]["threads"] = number
        elif name.startswith(_ENDED):
            outcome, _, version = name.removeprefix(_ENDED).partition(":")
            plain[version][outcome] = number
        elif name.startswith(_DURATIONS):
            version, _, bucket = name.removeprefix(_DURATIONS).rpartition(":")
            buckets[version][int(bucket)] = number
    by_version = {
        version: VersionCounts(**plain[version], durations=Durations(buckets[version]))
        for version in plain.keys() | buckets.keys()
    }
    return RampCounts(ramp_id, numbers.get("looks", 0), by_version)
