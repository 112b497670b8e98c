"""What a question answers with, and how answers of several repetitions become one line."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass, replace


@dataclass(frozen=True, slots=True)
class Figure:
    """One measured number. `goal` is the design's; `beside` is the same thing done without a server, in the same run;
    `ratio` to it, and `spread`, are those of all repetitions once they are merged."""

    name: str
    value: float
    unit: str
    goal: float | None = None
    more_is_better: bool = False
    beside: float | None = None
    ratio: float | None = None
    spread: tuple[float, float] | None = None

    @property
    def met(self) -> bool | None:
        """Whether the goal is reached, where there is one."""
        if self.goal is None:
            return None
        return self.value >= self.goal if self.more_is_better else self.value <= self.goal

    def cells(self) -> tuple[str, ...]:
        """As a row of the table."""
        low, high = self.spread or (self.value, self.value)
        sign = "≥" if self.more_is_better else "≤"
        goal = "" if self.goal is None else f"{sign} {shown(self.goal)} {'met' if self.met else 'MISSED'}"
        ratio = "" if self.beside is None else f"{self.ratio or self.value / self.beside:.2f} of {shown(self.beside)}"
        return self.name, f"{shown(self.value)} {self.unit}".rstrip(), f"{shown(low)} … {shown(high)}", goal, ratio


HEADINGS = ("figure", "median", "least … most", "goal", "of the bare graph")


def shown(number: float) -> str:
    """Three digits that matter."""
    if number == 0 or not math.isfinite(number):
        return f"{number:g}"
    return f"{number:.0f}" if abs(number) >= 100 else f"{number:.3g}"


def percentile(samples: Sequence[float], percent: float) -> float:
    """The sample below which `percent` of them lie."""
    ordered = sorted(samples)
    return ordered[min(len(ordered) - 1, round(percent / 100 * (len(ordered) - 1)))]


def merged(repetitions: Sequence[Sequence[Figure]]) -> list[Figure]:
    """The median of every figure over the repetitions, with its spread."""
    named: dict[str, list[Figure]] = {}
    for figures in repetitions:
        for figure in figures:
            named.setdefault(figure.name, []).append(figure)
    return [_median(same) for same in named.values()]


def _median(same: Sequence[Figure]) -> Figure:
    values = [figure.value for figure in same]
    pairs = [(figure.value, figure.beside) for figure in same if figure.beside is not None]
    return replace(
        same[0],
        value=statistics.median(values),
        beside=statistics.median(beside for _, beside in pairs) if pairs else None,
        ratio=statistics.median(value / beside for value, beside in pairs) if pairs else None,
        spread=(min(values), max(values)),
    )


def table(figures: Sequence[Figure]) -> str:
    """A Markdown table."""
    rows = [HEADINGS, *(figure.cells() for figure in figures)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(HEADINGS))]
    lines = ["| " + " | ".join(map(str.ljust, row, widths)) + " |" for row in rows]
    return "\n".join([lines[0], "|" + "|".join("-" * (width + 2) for width in widths) + "|", *lines[1:]])
