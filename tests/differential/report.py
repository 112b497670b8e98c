"""The report: which scenarios are equal, which differ only as intended, and which have other differences."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from tests.differential.comparison import Difference, Json
from tests.differential.intended import INTENDED, Intended
from tests.differential.runner import ScenarioResult

MAX_VALUE_CHARACTERS = 240


@dataclass(frozen=True)
class Report:
    """All differences of one execution of the differential test."""

    results: Sequence[ScenarioResult]
    intended: dict[Intended, list[Difference]]
    unintended: Sequence[Difference]
    unused: Sequence[Intended]

    @property
    def passed(self) -> bool:
        """True if all differences are intended and every entry of the table matches a difference."""
        return not self.unintended and not self.unused


def create_report(results: Sequence[ScenarioResult], *, complete: bool) -> Report:
    """Assigns each difference to an entry of the table. Entries without a difference are reported only if the results
    are `complete`, which means: of all scenarios."""
    intended: dict[Intended, list[Difference]] = {entry: [] for entry in INTENDED}
    unintended = []
    for difference in (difference for result in results for difference in result.differences):
        entry = next((entry for entry in INTENDED if entry.matches(difference)), None)
        if entry is None:
            unintended.append(difference)
        else:
            intended[entry].append(difference)
    unused = [entry for entry, matched in intended.items() if not matched] if complete else []
    return Report(results, intended, unintended, unused)


def as_markdown(report: Report) -> str:
    """The report for people."""
    failed = {difference.scenario for difference in report.unintended}
    equal = [result for result in report.results if not result.differences]
    lines = [
        "# Slipway compared with the reference server",
        "",
        "| | |",
        "|---|---|",
        f"| scenarios | {len(report.results)} |",
        f"| responses and streams compared | {sum(len(result.reference) for result in report.results)} |",
        f"| scenarios without a difference | {len(equal)} |",
        f"| scenarios with intended differences only | {len(report.results) - len(equal) - len(failed)} |",
        f"| scenarios with unintended differences | {len(failed)} |",
        f"| intended differences | {sum(map(len, report.intended.values()))} of {len(report.intended)} kinds |",
        f"| unintended differences | {len(report.unintended)} |",
        f"| unused entries of the table | {len(report.unused)} |",
        "",
        "## Unintended differences",
        "",
    ]
    scenario = step = ""
    for difference in report.unintended:
        if difference.scenario != scenario:
            scenario, step = difference.scenario, ""
            lines += ["", f"### {scenario}"]
        if difference.step != step:
            step = difference.step
            lines.append(f"- {step}")
        lines.append(f"  - {describe(difference)}")
    lines += ["", "## Unused entries: remove them from the table", ""]
    lines += [f"- `{entry.pattern}`: {entry.reason}" for entry in report.unused]
    lines += ["", "## Intended differences", ""]
    for entry, differences in report.intended.items():
        scenarios = len(Counter(difference.scenario for difference in differences))
        lines.append(f"- {entry.reason} ({len(differences)} in {scenarios} scenarios)")
    return "\n".join(lines) + "\n"


def describe(difference: Difference) -> str:
    """One line with the path and both values."""
    if difference.kind == "missing":
        return f"`{difference.path}` is missing in Slipway: {_shortened(difference.reference)}"
    if difference.kind == "extra":
        return f"`{difference.path}` is only in Slipway: {_shortened(difference.slipway)}"
    reference, slipway = _shortened(difference.reference), _shortened(difference.slipway)
    return f"`{difference.path}`: reference {reference} ≠ Slipway {slipway}"


def _shortened(value: Json) -> str:
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= MAX_VALUE_CHARACTERS else f"{text[:MAX_VALUE_CHARACTERS]}…"
