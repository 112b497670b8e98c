"""When a ramping version is rolled back: by a test of proportions, not by one run that fails."""

from __future__ import annotations

import random

import pytest

from slipway.graphs.rollouts_section import RolloutsSection
from slipway.rollouts.counts import VersionCounts, counts_from
from slipway.rollouts.guard import look_at, runs_until_look
from slipway.rollouts.statistics import Durations, Proportion, least_difference, wilson

RULES = RolloutsSection()


def runs(
    succeeded: int = 0, failed: int = 0, ceilings: int = 0, buckets: dict[int, int] | None = None
) -> VersionCounts:
    return VersionCounts(0, succeeded, failed, ceilings, Durations(buckets or {}))


def test_bounds_are_those_of_the_literature() -> None:
    """The examples of Newcombe's papers of 1998 (two-sided 95 %)."""
    assert wilson(Proportion(81, 263), 0.025) == pytest.approx((0.2553, 0.3662), abs=1e-4)
    assert wilson(Proportion(0, 20), 0.025) == pytest.approx((0.0, 0.1611), abs=1e-4)
    assert wilson(Proportion(0, 0), 0.025) == (0.0, 1.0)
    assert least_difference(Proportion(56, 70), Proportion(48, 80), 0.025) == pytest.approx(0.0524, abs=1e-4)
    assert least_difference(Proportion(10, 10), Proportion(0, 10), 0.025) == pytest.approx(0.6075, abs=1e-4)


def test_one_run_that_fails_rolls_nothing_back() -> None:
    decision = look_at(runs(19, 1), runs(200), 0, RULES)
    assert decision is not None
    assert decision.reason is None


def test_a_version_that_fails_one_run_in_five_is_rolled_back() -> None:
    decision = look_at(runs(36, 9), runs(400, 2), 0, RULES)
    assert decision is not None
    assert decision.reason == (
        "9 of 45 runs failed (20.0%), of the current version 2 of 402 (0.5%): more than 5 percentage points worse"
    )


def test_a_version_that_fails_as_often_as_the_old_one_stays() -> None:
    decision = look_at(runs(80, 20), runs(400, 100), 0, RULES)
    assert decision is not None
    assert decision.reason is None


def test_ceilings_are_compared_on_their_own() -> None:
    decision = look_at(runs(70, 0, 30), runs(400), 0, RULES)
    assert decision is not None
    assert decision.reason is not None
    assert decision.reason.startswith("30 of 100 runs reached a ceiling (30.0%)")


def test_nothing_is_compared_before_enough_runs_of_both_versions() -> None:
    assert look_at(runs(0, 19), runs(400), 0, RULES) is None
    assert look_at(runs(0, 400), runs(19), 0, RULES) is None
    assert look_at(runs(0, 20), runs(20), 0, RULES) is not None


def test_the_next_look_is_due_when_the_runs_have_grown_by_half() -> None:
    assert [runs_until_look(look, RULES) for look in (1, 2, 3, 4)] == [20, 30, 45, 68]
    assert look_at(runs(29), runs(400), 1, RULES) is None
    second = look_at(runs(30), runs(400), 1, RULES)
    assert second is not None
    assert second.look == 2
    late = look_at(runs(50), runs(400), 1, RULES)
    assert late is not None
    assert late.look == 3


def test_p95_is_compared_with_the_factor() -> None:
    """Bucket 50 ends at 129 ms, 51 at 142 ms, 60 at 335 ms."""
    old = runs(400, buckets={40: 380, 50: 20})
    slow = look_at(runs(200, buckets={40: 160, 60: 40}), old, 0, RULES)
    assert slow is not None
    assert slow.reason is not None
    assert slow.reason.startswith("the 95th percentile of the duration of runs is 335 ms, of the current version")
    within_factor = look_at(runs(200, buckets={40: 160, 53: 40}), old, 0, RULES)
    assert within_factor is not None
    assert within_factor.reason is None
    few = look_at(runs(20, buckets={40: 18, 60: 2}), old, 0, RULES)
    assert few is not None
    assert few.reason is None


@pytest.mark.parametrize("seed", range(3))
def test_repeated_looks_roll_a_permitted_version_back_as_rarely_as_promised(seed: int) -> None:
    """The new version is worse by exactly the margin. Each rollout has up to 9 looks, and the share of rollouts that
    are rolled back is below the promise of 5 %, with three standard deviations of room."""
    draw, rollouts, rolled_back = random.Random(seed), 400, 0
    for _ in range(rollouts):
        looks = new_failed = old_failed = 0
        for count in range(1, 500):
            new_failed += draw.random() < 0.10
            old_failed += draw.random() < 0.05
            if count < runs_until_look(looks + 1, RULES):
                continue
            decision = look_at(runs(count - new_failed, new_failed), runs(count - old_failed, old_failed), looks, RULES)
            assert decision is not None
            looks = decision.look
            if decision.reason is not None:
                rolled_back += 1
                break
    assert rolled_back / rollouts <= 0.05 + 3 * (0.05 * 0.95 / rollouts) ** 0.5


def test_stored_counts_are_read() -> None:
    numbers = {
        "looks": 2,
        "threads:2": 7,
        "ended:succeeded:2": 5,
        "ended:failed:2": 1,
        "ended:ceilings:2": 1,
        "ms:2:40": 3,
        "ms:2:41": 2,
    }
    counts = counts_from(numbers | {"ended:succeeded:1.0+b_c": 4}, "r1")
    assert (counts.ramp_id, counts.looks) == ("r1", 2)
    assert counts.of("2") == VersionCounts(7, 5, 1, 1, Durations({40: 3, 41: 2}))
    assert counts.of("2").runs == 7
    assert counts.of("1.0+b_c").succeeded == 4
    assert counts.of("3").runs == 0
