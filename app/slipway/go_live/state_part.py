"""The state now: what the health checks find, and whether the stored records are consistent."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from slipway.go_live.check import Check, Part
from slipway.go_live.inputs import Inputs
from slipway.go_live.line import Line, failed, passed, warned
from slipway.health.doctor import Doctor, Problem
from slipway.health.findings import Finding, Level
from slipway.progress import ShowProgress, show_nothing

NAME: Final = "state"

_ELSEWHERE: Final = {
    "redis": (
        *("redis.evicts", "redis.volatile", "redis.snapshots_only", "redis.snapshot_failed", "redis.append_failed"),
        *("redis.rewrite_failed", "redis.replica", "redis.replica_behind", "redis.version", "memory.high"),
    ),
    "workers": ("workers.none", "versions.unserved"),
}
"""Health findings that other parts have as lines of their own, by part."""


_REJECTS: Final = "redis.rejects_writes"
_NOT_PERMITTED: Final = ": NOPERM"
_STRANDS_RUNS: Final = ("workers.none", "versions.unserved")
"""Findings that are warnings of `GET /readyz`, because runs are stored, and failures here: nobody executes them."""


def _line(finding: Finding, *, may_only_read: bool, repair: bool) -> Line:
    """`may_only_read`: what the user of Redis of this command may not do says nothing about the deployment. `repair`:
    records may be repaired while nobody executes runs."""
    if may_only_read and finding.code in (_REJECTS, "health.broken"):
        what = "not checked: the user of Redis of this command may only read"
        fix = "the SLIPWAY_REDIS_URL of the processes, whose user may write and call scripts"
        return warned("health", what, fix, finding.code)
    what, _, fix = finding.detail.partition(": ")
    if finding.code == _REJECTS:
        what, fix = finding.detail, "what the log says of health.probe_failed; `slipway doctor --only redis`"
    is_failure = finding.level is Level.ERROR or (finding.code in _STRANDS_RUNS and not repair)
    return (failed if is_failure else warned)("health", what, fix or "docs/operations.md", finding.code)


@dataclass(slots=True)
class StateChecks:
    """The checks of one run of the doctor. With `repair`, each problem is repaired in the script that finds it."""

    chosen: frozenset[str]
    """The names of the chosen parts."""
    repair: bool = False
    show: ShowProgress = show_nothing
    problems: list[Problem] = field(default_factory=list)
    """Those that were found, repaired or not."""

    def part(self) -> Part:
        return Part(
            NAME,
            "State now: health and records",
            (
                Check({"health": "The findings of `GET /readyz` that have no line of their own."}, self._health),
                Check(
                    {"records.consistent": "Whether runs, threads, reviews, crons and indexes agree."},
                    self._records,
                    within_s=None,
                ),
            ),
        )

    async def _health(self, inputs: Inputs) -> Sequence[Line]:
        elsewhere = {code for part, codes in _ELSEWHERE.items() if part in self.chosen for code in codes} | {"ok"}
        findings = inputs.health.findings
        may_only_read = any(each.code == _REJECTS and each.detail.endswith(_NOT_PERMITTED) for each in findings)
        shown = [each for each in findings if each.code not in elsewhere]
        lines = [_line(each, may_only_read=may_only_read, repair=self.repair) for each in shown]
        if lines:
            return lines
        if any(each.level is not Level.OK for each in findings):
            return [passed("health", "a new run would be stored; what else was found has a line of its own")]
        return [passed("health", "a new run would be stored; nothing is switched off, late or broken")]

    async def _records(self, inputs: Inputs) -> Sequence[Line]:
        lease_ms = int(inputs.settings.lease_s * 1000)
        doctor = Doctor(inputs.pipeline, inputs.shards, lease_ms=lease_ms, repair=self.repair)
        self.problems += [*await doctor.check_thread_indexes(self.show), *await doctor.check_all(self.show)]
        code, number = "records.consistent", len(self.problems)
        if not number:
            return [passed(code, "no run and no thread is stuck")]
        found = "1 problem is listed below" if number == 1 else f"{number} problems are listed below"
        if all(problem.repaired for problem in self.problems):
            return [passed(code, f"{found}, and repaired")]
        return [failed(code, found, "slipway doctor --repair")]
