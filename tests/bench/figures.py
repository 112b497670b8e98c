"""Measured figures, their medians over several repetitions, and their table."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass, replace


@dataclass(frozen=True, slots=True)
class Figure:
    """One measured number. `goal` is the target for two idle cores; `bare` is the same measurement without a server,
    and `goal_of_bare` the target for value / bare, which holds on any machine. `merged` adds `ratio` (the median of
    value / bare) and `spread` (minimum and maximum of the repetitions)."""

    name: str
    value: float
    unit: str
    goal: float | None = None
    more_is_better: bool = False
    bare: float | None = None
    goal_of_bare: float | None = None
    ratio: float | None = None
    spread: tuple[float, float] | None = None

    @property
    def met(self) -> bool | None:
        """None without a goal. The goal of the ratio decides, if there is one."""
        if self.goal_of_bare is not None:
            return self._reaches(self._of_bare, self.goal_of_bare)
        return None if self.goal is None else self._reaches(self.value, self.goal)

    def _reaches(self, value: float, goal: float) -> bool:
        return value >= goal if self.more_is_better else value <= goal

    @property
    def _of_bare(self) -> float:
        assert self.bare is not None
        return self.value / self.bare if self.ratio is None else self.ratio

    def cells(self) -> tuple[str, ...]:
        """A row of the table."""
        low, high = self.spread or (self.value, self.value)
        ratio = "" if self.bare is None else f"{self._of_bare:.2f} of {rounded(self.bare)}"
        return (
            self.name,
            f"{rounded(self.value)} {self.unit}".rstrip(),
            f"{rounded(low)} … {rounded(high)}",
            self._goal_cell(),
            ratio,
        )

    def _goal_cell(self) -> str:
        goal = self.goal if self.goal_of_bare is None else self.goal_of_bare
        if goal is None:
            return ""
        of_bare = "" if self.goal_of_bare is None else " of bare"
        return f"{'≥' if self.more_is_better else '≤'} {rounded(goal)}{of_bare} {'met' if self.met else 'MISSED'}"


HEADINGS = ("figure", "median", "minimum … maximum", "goal", "of the bare graph")


def rounded(number: float) -> str:
    """With three significant digits."""
    if number == 0 or not math.isfinite(number):
        return f"{number:g}"
    return f"{number:.0f}" if abs(number) >= 100 else f"{number:.3g}"


def percentile(samples: Sequence[float], percent: float) -> float:
    """The sample at this percentage of the sorted samples."""
    ordered = sorted(samples)
    return ordered[min(len(ordered) - 1, round(percent / 100 * (len(ordered) - 1)))]


def merged(repetitions: Sequence[Sequence[Figure]]) -> list[Figure]:
    """The median of every figure over the repetitions, with its spread."""
    by_name: dict[str, list[Figure]] = {}
    for figures in repetitions:
        for figure in figures:
            by_name.setdefault(figure.name, []).append(figure)
    return [_median(repeated) for repeated in by_name.values()]


def _median(repeated: Sequence[Figure]) -> Figure:
    values = [figure.value for figure in repeated]
    pairs = [(figure.value, figure.bare) for figure in repeated if figure.bare is not None]
    return replace(
        repeated[0],
        value=statistics.median(values),
        bare=statistics.median(bare for _, bare in pairs) if pairs else None,
        ratio=statistics.median(value / bare for value, bare in pairs) if pairs else None,
        spread=(min(values), max(values)),
    )


def table(figures: Sequence[Figure]) -> str:
    """A Markdown table."""
    rows = [HEADINGS, *(figure.cells() for figure in figures)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(HEADINGS))]
    lines = ["| " + " | ".join(map(str.ljust, row, widths)) + " |" for row in rows]
    return "\n".join([lines[0], "|" + "|".join("-" * (width + 2) for width in widths) + "|", *lines[1:]])
