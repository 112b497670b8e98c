"""Decides whether a ramping version is rolled back, by comparing its runs with those of the current version.

Each rule has a null hypothesis: the new version is at most as much worse as the margin permits. It is rejected if a
confidence bound lies beyond the margin, not if one run fails:

    errors, ceilings   the lower bound of the difference of the two shares is above the margin
    p95                the lower bound of the share of runs of the new version that took longer than `p95_factor` times
                       the upper bound of the old version's p95 is above 5 %

**Repeated looks.** Whoever looks often enough rejects any hypothesis by chance. So the versions are compared only when
the runs of the new one have grown by half since the last look, and look number k may be wrong with a probability of
α / (k · (k + 1)), which is α for all looks together. α is `false_rollback_percent`, divided among the three rules.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from slipway.graphs.rollouts_section import RolloutsSection
from slipway.rollouts.counts import VersionCounts
from slipway.rollouts.statistics import Proportion, least_difference, wilson

LOOKS_GROW: Final = 1.5
"""By how much the runs of the new version grow between two looks."""

_P95: Final = 0.95


def runs_until_look(look: int, rules: RolloutsSection) -> int:
    """How many runs of the new version must have ended before look number `look`, from 1."""
    return round(rules.min_runs * LOOKS_GROW ** (look - 1))


@dataclass(frozen=True, slots=True)
class Decision:
    """The result of one look. `reason` says why the version must be rolled back; None if it may stay."""

    look: int
    reason: str | None


def look_at(new: VersionCounts, old: VersionCounts, looks: int, rules: RolloutsSection) -> Decision | None:
    """Compares the versions if the next look is due; `looks` were made before. Returns None if it is not due."""
    if old.runs < rules.min_runs or new.runs < runs_until_look(looks + 1, rules):
        return None
    look = looks + 1
    while new.runs >= runs_until_look(look + 1, rules):
        look += 1  # runs ended faster than looks were made: those that were left out have used nothing
    alpha = rules.false_rollback_percent / 100 / len(_RULES) / (look * (look + 1))
    problems = [problem for rule in _RULES if (problem := rule(new, old, rules, alpha)) is not None]
    return Decision(look, "; ".join(problems) or None)


Rule = Callable[[VersionCounts, VersionCounts, RolloutsSection, float], str | None]
"""Returns what is wrong with the new version, if the rule rejects it."""


def _errors(new: VersionCounts, old: VersionCounts, rules: RolloutsSection, alpha: float) -> str | None:
    return _worse("failed", new.errors, old.errors, rules.error_margin_percent, alpha)


def _ceilings(new: VersionCounts, old: VersionCounts, rules: RolloutsSection, alpha: float) -> str | None:
    return _worse("reached a ceiling", new.ceiling_hits, old.ceiling_hits, rules.ceiling_margin_percent, alpha)


def _worse(what: str, new: Proportion, old: Proportion, margin_percent: float, alpha: float) -> str | None:
    if least_difference(new, old, alpha) <= margin_percent / 100:
        return None
    return (
        f"{new.hits} of {new.trials} runs {what} ({new.share:.1%}), of the current version {old.hits} of {old.trials} "
        f"({old.share:.1%}): more than {margin_percent:g} percentage points worse"
    )


def _p95(new: VersionCounts, old: VersionCounts, rules: RolloutsSection, alpha: float) -> str | None:
    highest_old_ms = old.durations.highest_quantile_ms(_P95, alpha / 2)
    if highest_old_ms is None:
        return None
    slow = new.durations.longer_than(highest_old_ms * rules.p95_factor)
    lowest_share, _ = wilson(slow, alpha / 2)
    if lowest_share <= 1 - _P95:
        return None
    p95s = (new.durations.quantile_ms(_P95) or 0, old.durations.quantile_ms(_P95) or 0)
    return (
        f"the 95th percentile of the duration of runs is {p95s[0]:,.0f} ms, of the current version {p95s[1]:,.0f} ms: "
        f"more than {rules.p95_factor:g} times as long"
    )


_RULES: Final[tuple[Rule, ...]] = (_errors, _ceilings, _p95)
