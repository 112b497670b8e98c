"""Which versions a new run may get."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Any
from uuid import uuid4

import pytest

from slipway.graphs.version_choice import NO_CHOICE, VersionChoice
from slipway.rollouts.choice import DeclaredChoice, Requested, bucket_of, choice_of, gets_ramp
from slipway.rollouts.record import WHOLE, Ramp, RequestRule, Rollout

DECLARED = DeclaredChoice("2", "at-next-run")
UNDECLARED = DeclaredChoice(None, "at-resume")
NOTHING = Requested({}, {})
THREADS = [str(uuid4()) for _ in range(10_000)]


def rollout(weight: int, *testers: RequestRule) -> Rollout:
    return Rollout("desk", "1", "", "", ramp=Ramp("2", weight, "r", "", testers))


def test_without_a_rollout_langgraph_json_decides() -> None:
    assert choice_of(None, DECLARED, "desk", "t", NOTHING) == VersionChoice(new="2", current="2")
    assert choice_of(None, UNDECLARED, "desk", "t", NOTHING) is NO_CHOICE


def test_a_rollout_takes_precedence_over_the_default() -> None:
    choice = choice_of(rollout(0), DECLARED, "desk", "t", NOTHING)
    assert choice == VersionChoice(new="1", current="1", ramping="2", rolled_out=True)
    assert choice_of(rollout(WHOLE), UNDECLARED, "desk", "t", NOTHING).new == "2"


@pytest.mark.parametrize("weight", [1, 100, 1000, 5000, 9000])
def test_the_share_over_10000_threads_is_within_binomial_bounds(weight: int) -> None:
    """Five standard deviations: by chance one of three million runs of the test fails."""
    got = sum(gets_ramp(rollout(weight).ramp, "desk", thread, NOTHING) for thread in THREADS)  # type: ignore[arg-type]
    share = weight / WHOLE
    assert abs(got - share * len(THREADS)) <= 5 * math.sqrt(len(THREADS) * share * (1 - share))


def test_a_thread_stays_in_a_share_that_grows() -> None:
    def in_share(weight: int) -> set[str]:
        return {thread for thread in THREADS if choice_of(rollout(weight), DECLARED, "d", thread, NOTHING).new == "2"}

    shares = [in_share(weight) for weight in (0, 1000, 1001, 5000, WHOLE)]
    assert all(smaller <= larger for smaller, larger in pairwise(shares))
    assert (shares[0], shares[-1]) == (set(), set(THREADS))
    assert in_share(1000) == shares[1]


def test_a_bucket_is_the_same_in_every_release() -> None:
    """A change would move threads of running rollouts."""
    assert bucket_of("desk", "00000000-0000-0000-0000-000000000000") == 1836
    assert bucket_of("other", "00000000-0000-0000-0000-000000000000") == 5040


@pytest.mark.parametrize(
    ("headers", "metadata", "tests"),
    [
        ({"x-tester": "yes"}, {}, True),
        ({"x-tester": "no"}, {}, False),
        ({}, {"tier": "beta"}, True),
        ({}, {"level": 3}, True),
        ({}, {"level": "4"}, False),
        ({}, {}, False),
    ],
)
def test_testers_get_the_ramping_version(headers: dict[str, str], metadata: dict[str, Any], tests: bool) -> None:
    rules = (
        RequestRule("header", "x-tester", "yes"),
        RequestRule("metadata", "tier", "beta"),
        RequestRule("metadata", "level", "3"),
    )
    chosen = choice_of(rollout(0, *rules), DECLARED, "desk", "t", Requested(headers, metadata))
    assert chosen.new == ("2" if tests else "1")


def test_a_request_names_a_version_by_header_or_metadata() -> None:
    assert Requested({"x-slipway-version": "2"}, {"slipway_version": "1"}).named == ("2", "x-slipway-version")
    assert Requested({}, {"slipway_version": "1"}).named == ("1", "metadata.slipway_version")
    assert Requested({}, {"slipway_version": 2}).named == ("2", "metadata.slipway_version")
    assert Requested({}, {}).named is None
