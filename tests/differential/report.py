"""The report: what is equal, what is meant to differ, and what is neither."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from tests.differential.comparison import Difference, Json
from tests.differential.intended import INTENDED, Intended
from tests.differential.playing import Played

SHOWN = 240


@dataclass(frozen=True)
class Verdict:
    """Everything that a run found."""

    played: Sequence[Played]
    meant: dict[Intended, list[Difference]]
    unexplained: Sequence[Difference]
    outdated: Sequence[Intended]

    @property
    def good(self) -> bool:
        """Whether every difference is meant, and every one that is meant is there."""
        return not self.unexplained and not self.outdated


def judge(played: Sequence[Played], *, whole: bool) -> Verdict:
    """Sort the differences; only a run of `whole` scenarios can say that a meant difference is gone."""
    meant: dict[Intended, list[Difference]] = {entry: [] for entry in INTENDED}
    unexplained = []
    for difference in (found for one in played for found in one.differences):
        entry = next((entry for entry in INTENDED if entry.covers(difference)), None)
        if entry is None:
            unexplained.append(difference)
        else:
            meant[entry].append(difference)
    outdated = [entry for entry, found in meant.items() if not found] if whole else []
    return Verdict(played, meant, unexplained, outdated)


def text(verdict: Verdict) -> str:
    """For people, in Markdown."""
    bad = {difference.scenario for difference in verdict.unexplained}
    equal = [one for one in verdict.played if not one.differences]
    lines = [
        "# Slipway beside the reference server",
        "",
        "| | |",
        "|---|---|",
        f"| scenarios | {len(verdict.played)} |",
        f"| answers and streams compared | {sum(len(one.reference) for one in verdict.played)} |",
        f"| equal in all | {len(equal)} |",
        f"| different only as meant | {len(verdict.played) - len(equal) - len(bad)} |",
        f"| with differences that nobody meant | {len(bad)} |",
        f"| meant differences | {sum(map(len, verdict.meant.values()))} of {len(verdict.meant)} kinds |",
        f"| differences that nobody meant | {len(verdict.unexplained)} |",
        f"| meant differences that are gone | {len(verdict.outdated)} |",
        "",
        "## Differences that nobody meant",
        "",
    ]
    scenario = step = ""
    for found in verdict.unexplained:
        if found.scenario != scenario:
            scenario, step = found.scenario, ""
            lines += ["", f"### {scenario}"]
        if found.step != step:
            step = found.step
            lines.append(f"- {step}")
        lines.append(f"  - {line_of(found)}")
    lines += ["", "## Meant differences that are gone: take them out of the table", ""]
    lines += [f"- `{entry.where}`: {entry.reason}" for entry in verdict.outdated]
    lines += ["", "## Meant differences", ""]
    for entry, differences in verdict.meant.items():
        scenarios = len(Counter(found.scenario for found in differences))
        lines.append(f"- {entry.reason} ({len(differences)} in {scenarios} scenarios)")
    return "\n".join(lines) + "\n"


def line_of(found: Difference) -> str:
    """One line: the place, and both values."""
    if found.kind == "missing":
        return f"`{found.path}` is missing: {_short(found.reference)}"
    if found.kind == "extra":
        return f"`{found.path}` is only ours: {_short(found.ours)}"
    return f"`{found.path}`: {_short(found.reference)} ≠ ours {_short(found.ours)}"


def _short(value: Json) -> str:
    shown = json.dumps(value, ensure_ascii=False, default=str)
    return shown if len(shown) <= SHOWN else f"{shown[:SHOWN]}…"
