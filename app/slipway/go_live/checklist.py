"""The whole checklist: its parts in their order, the choice among them, and what operators have accepted."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final

from slipway.errors import ConfigError
from slipway.go_live import (
    access_part,
    ceilings_part,
    evidence_part,
    observation_part,
    questions_part,
    redis_part,
    retention_part,
    state_part,
    tools_part,
    webhooks_part,
    workers_part,
)
from slipway.go_live.check import Part
from slipway.go_live.inputs import open_inputs
from slipway.go_live.line import Line, Outcome, passed, warned
from slipway.go_live.state_part import StateChecks
from slipway.health.doctor import PROBLEMS, Problem
from slipway.progress import ShowProgress, show_nothing
from slipway.settings import Settings
from slipway.value_problems import did_you_mean

ACCEPT: Final = "doctor.accept"
"""The code of the line about `slipway.doctor.accept` itself."""

PARTS: Final[Sequence[Part]] = (
    StateChecks(frozenset()).part(),
    redis_part.PART,
    workers_part.PART,
    ceilings_part.PART,
    tools_part.PART,
    questions_part.PART,
    observation_part.PART,
    access_part.PART,
    webhooks_part.PART,
    retention_part.PART,
    evidence_part.PART,
)
"""In the order in which they are printed."""

CODES: Final[Mapping[str, str]] = {code: about for part in PARTS for code, about in part.codes.items()} | {
    ACCEPT: "Whether `slipway.doctor.accept` of langgraph.json names lines of this list."
}
"""What each line says, by its code."""


@dataclass(frozen=True, slots=True)
class PartResult:
    """The lines of one part."""

    name: str
    title: str
    lines: Sequence[Line]


@dataclass(frozen=True, slots=True)
class Checklist:
    """What one run of the doctor has found. `problems` are those of the stored records."""

    checked_at: datetime
    parts: Sequence[PartResult]
    problems: Sequence[Problem]

    @property
    def lines(self) -> list[Line]:
        return [line for part in self.parts for line in part.lines]

    def count(self, outcome: str) -> int:
        """The lines that count as `pass`, `warn`, `fail` or `accepted`."""
        return sum(line.counts_as == outcome for line in self.lines)

    def is_ready(self, *, strict: bool = False) -> bool:
        """Whether nothing failed and, if `strict`, every warning is accepted."""
        return not self.count(Outcome.FAIL) and not (strict and self.count(Outcome.WARN))

    def public(self) -> dict[str, Any]:
        """The output of `--json`."""
        return {
            "ready": self.is_ready(),
            "checked_at": self.checked_at.isoformat(timespec="milliseconds"),
            "counts": {name: self.count(name) for name in ("fail", "warn", "accepted", "pass")},
            "lines": [{"part": part.name, **line.public()} for part in self.parts for line in part.lines],
            "problems": [
                {
                    "problem": problem.name,
                    "id": problem.record_id,
                    "repaired": problem.repaired,
                    "about": PROBLEMS[problem.name],
                }
                for problem in self.problems
            ],
        }


async def run_checklist(
    settings: Settings,
    environment: Mapping[str, str],
    *,
    chosen: Collection[str],
    repair: bool = False,
    show: ShowProgress = show_nothing,
) -> Checklist:
    """Runs the checks of the `chosen` parts, one after another over one connection. They change nothing, except that
    the health check writes and deletes a key of its own, and `repair` repairs records. Raises `StoreUnavailable`, and
    `ConfigError` if langgraph.json is wrong or the data have another layout version."""
    state = StateChecks(frozenset(chosen), repair, show)
    parts = [state.part() if part.name == state_part.NAME else part for part in PARTS if part.name in chosen]
    with_code = any(part.needs_code for part in parts)
    async with open_inputs(settings, environment, with_code=with_code, repair=repair) as inputs:
        accept, results = inputs.project.doctor.accept, []
        for part in parts:
            lines = [line for check in part.checks for line in await check.lines(inputs)]
            results.append(PartResult(part.name, part.title, [_accepted(line, accept) for line in lines]))
        if accept:
            results.append(PartResult("accepted", "Accepted risks", _about_accepted(accept, results)))
        return Checklist(inputs.clock.now(), results, state.problems)


def chosen_parts(only: Sequence[str], skip: Sequence[str], *, repair: bool) -> list[str]:
    """The names of the parts to run. A repair concerns the state only, unless `only` names other parts. Raises
    `ConfigError` for an unknown name, and if nothing remains."""
    names = [part.name for part in PARTS]
    for option, given in (("--only", only), ("--skip", skip)):
        for name in given:
            if name not in names:
                raise ConfigError(f"{option}: there is no part {name!r}{did_you_mean(name, names)}")
    wanted = list(only) or ([state_part.NAME] if repair else names)
    if repair and state_part.NAME not in wanted:
        raise ConfigError(f"--repair repairs records, which are a part of {state_part.NAME}: name it in --only")
    if not (chosen := [name for name in names if name in wanted and name not in skip]):
        raise ConfigError("--only and --skip leave no part")
    return chosen


def _accepted(line: Line, accept: Mapping[str, str]) -> Line:
    """Only warnings can be accepted."""
    reason = accept.get(f"{line.code}:{line.subject}" if line.subject else line.code) or accept.get(line.code)
    return replace(line, accepted=reason) if reason and line.outcome is Outcome.WARN else line


def _about_accepted(accept: Mapping[str, str], results: Sequence[PartResult]) -> list[Line]:
    """Whether each entry names a line; and those that accept nothing any more."""
    found = [line for result in results for line in result.lines]
    checked, lines = {line.code for line in found}, []
    for name in accept:
        code, _, subject = name.partition(":")
        if code not in CODES or code == ACCEPT:
            lines.append(warned(ACCEPT, f"there is no line {code!r}{did_you_mean(code, CODES)}", "mend its name", name))
            continue
        same = [line for line in found if line.code == code and subject in ("", line.subject)]
        if any(line.outcome is Outcome.FAIL for line in same):
            lines.append(warned(ACCEPT, "it failed, and only warnings can be accepted", "mend what failed", name))
        elif code in checked and not any(line.accepted for line in same):
            lines.append(warned(ACCEPT, "accepts nothing: there is no such warning any more", "remove it", name))
    return lines or [passed(ACCEPT, f"{len(accept)} accepted, each with a reason")]
