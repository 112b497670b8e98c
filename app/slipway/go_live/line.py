"""The lines of the checklist: a stable code, an outcome, what was found, and the fix."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any


class Outcome(StrEnum):
    """`fail`: runs or data will be lost, unprotected or not executed. `warn`: a risk, or something that could not be
    checked. `pass`: it was checked and is as it should be."""

    PASS = "pass"
    WARN = "warn"
    FAIL = "fail"


@dataclass(frozen=True, slots=True)
class Line:
    """One line. `fix` is a command, a setting or a member of langgraph.json; empty if nothing is to be done."""

    code: str
    """Stable, such as `redis.eviction`. Each check has one, whatever it finds."""
    outcome: Outcome
    found: str
    fix: str = ""
    subject: str = ""
    """The graph, tool or setting that the line is about, where a check has a line for each."""
    accepted: str = ""
    """Why an operator has accepted this warning (`slipway.doctor.accept` of langgraph.json)."""

    @property
    def counts_as(self) -> str:
        """The outcome, or `accepted`."""
        return "accepted" if self.accepted else self.outcome.value

    def public(self) -> dict[str, Any]:
        """The members in the output of `--json`."""
        return {
            "code": self.code,
            "subject": self.subject or None,
            "outcome": self.outcome.value,
            "found": self.found,
            "fix": self.fix or None,
            "accepted": self.accepted or None,
        }


def passed(code: str, found: str, subject: str = "") -> Line:
    """A line that needs no fix."""
    return Line(code, Outcome.PASS, found, subject=subject)


def warned(code: str, found: str, fix: str, subject: str = "") -> Line:
    """A risk, or something that could not be checked."""
    return Line(code, Outcome.WARN, found, fix, subject)


def failed(code: str, found: str, fix: str, subject: str = "") -> Line:
    """Something that must not go live."""
    return Line(code, Outcome.FAIL, found, fix, subject)
