"""The changes of a rollout, and what is rejected without changing anything."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from slipway.errors import Conflict, InvalidRequest
from slipway.rollouts.changes import Change, GraphVersions, Who, cleared, promoted, rolled_back, set_weights
from slipway.rollouts.record import Action, RequestRule, Rollout, VersionState, rollout_from

WHO = Who("cli:ann", "2026-01-31T12:00:00+00:00", "a try")
VERSIONS = GraphVersions("desk", ["1", "2", "3"], default="1")
UNDECLARED = GraphVersions("desk", ["a", "b"])
HEADER = RequestRule("header", "x-tester", "yes")


def rollout_of(change: Change) -> Rollout:
    assert change.rollout is not None
    return change.rollout


def ramping(weight: int = 1000, **more: Any) -> Rollout:
    return rollout_of(set_weights(None, VERSIONS, {"2": weight}, WHO, **more))


def test_the_first_weight_is_beside_the_default() -> None:
    change = set_weights(None, VERSIONS, {"2": 1050}, WHO, testers=[HEADER])

    after = rollout_of(change)
    assert (after.current, after.by, after.reason) == ("1", "cli:ann", "a try")
    assert after.ramp is not None
    assert (after.ramp.version, after.ramp.percent, after.ramp.testers) == ("2", 10.5, (HEADER,))
    assert (change.entry.action, change.entry.by) == (Action.SET, "cli:ann")
    assert change.entry.summary == (
        "version 2 gets 10.5 % of the new threads, and those with header x-tester=yes; all others get 1"
    )


def test_both_weights_name_the_current_version() -> None:
    """The older of the two is the current one, also if the checkout of the command declares the newer one only."""
    for versions in (UNDECLARED, replace(UNDECLARED, default="b")):
        after = rollout_of(set_weights(None, versions, {"b": 1000, "a": 9000}, WHO))
        assert (after.current, after.ramp and after.ramp.version) == ("a", "b")


def test_the_only_other_version_with_live_workers_is_current() -> None:
    versions = GraphVersions("desk", ["0", "1", "2"], default="2", workers={"1": 3, "2": 1})
    after = rollout_of(set_weights(None, versions, {"2": 1000}, WHO))
    assert (after.current, after.ramp and after.ramp.version) == ("1", "2")
    several = replace(versions, workers={"0": 1, "1": 3, "2": 1})
    with pytest.raises(Conflict, match="2 others have live workers: give both weights"):
        set_weights(None, several, {"2": 1000}, WHO)


def test_a_new_weight_keeps_the_ramp_and_its_testers() -> None:
    before = ramping(testers=[HEADER])

    after = rollout_of(set_weights(before, VERSIONS, {"2": 5000}, WHO))

    assert before.ramp is not None
    assert after.ramp is not None
    assert (after.ramp.ramp_id, after.ramp.since) == (before.ramp.ramp_id, before.ramp.since)
    assert (after.ramp.weight, after.ramp.testers) == (5000, (HEADER,))
    without = rollout_of(set_weights(before, VERSIONS, {"2": 5000}, WHO, testers=[])).ramp
    assert without is not None
    assert without.testers == ()


@pytest.mark.parametrize(
    ("weights", "field", "problem"),
    [
        ({"2": 6000, "1": 5000}, "versions", "110 % together, more than 100 %"),
        ({"2": 10_001}, "versions", "100.01 % together"),
        ({"4": 1000}, "versions", "graph 'desk' has no version '4'"),
        ({"2": 1000, "3": 1000}, "versions", "only one version can ramp beside '1', not '2' and '3'"),
        ({"1": 1000}, "versions", "version '1' is current already"),
        ({"1": 1000, "2": 1000}, "versions", "20 % together; leave out '1'"),
    ],
)
def test_wrong_weights_are_rejected(weights: dict[str, int], field: str, problem: str) -> None:
    with pytest.raises(InvalidRequest) as rejected:
        set_weights(Rollout("desk", "1", "", ""), VERSIONS, weights, WHO)
    assert rejected.value.field == field
    assert problem in str(rejected.value)


def test_a_second_ramp_is_rejected() -> None:
    with pytest.raises(Conflict, match="version '2' of graph 'desk' is ramping; only one version can"):
        set_weights(ramping(), VERSIONS, {"3": 1000}, WHO)


def test_the_current_version_must_be_known() -> None:
    with pytest.raises(Conflict, match="give both weights, such as 1=90% 2=10%"):
        set_weights(None, UNDECLARED, {"b": 1000}, WHO)


def test_promoting_makes_the_ramping_version_current() -> None:
    change = promoted(ramping(), VERSIONS, WHO)

    after = rollout_of(change)
    assert (after.current, after.previous, after.ramp) == ("2", "1", None)
    assert [after.state_of(version) for version in "123"] == [
        VersionState.DRAINING,
        VersionState.CURRENT,
        VersionState.INACTIVE,
    ]
    assert after.state_of("1", is_needed=False) is VersionState.DRAINED
    assert change.entry.summary == "version 2 is current instead of 1"


def test_a_version_is_promoted_by_name_only_if_no_other_is_ramping() -> None:
    assert rollout_of(promoted(None, VERSIONS, WHO, "3")).previous == "1"
    with pytest.raises(Conflict, match="version '2' is ramping: promote it or roll it back first"):
        promoted(ramping(), VERSIONS, WHO, "3")
    with pytest.raises(Conflict, match="no version of graph 'desk' is ramping: name the version"):
        promoted(None, VERSIONS, WHO)
    with pytest.raises(InvalidRequest, match="has no version '9'"):
        promoted(None, VERSIONS, WHO, "9")
    with pytest.raises(Conflict, match="is current already"):
        promoted(Rollout("desk", "2", "", ""), VERSIONS, WHO, "2")


def test_rolling_back_ends_the_ramp_and_then_the_promotion() -> None:
    promoted_2 = rollout_of(promoted(ramping(), VERSIONS, WHO))
    ramping_3 = rollout_of(set_weights(promoted_2, VERSIONS, {"3": 100}, WHO))

    without_3 = rollout_of(rolled_back(ramping_3, "desk", WHO))
    assert (without_3.current, without_3.ramp, without_3.state_of("3")) == ("2", None, VersionState.DRAINING)

    change = rolled_back(without_3, "desk", WHO)
    after = rollout_of(change)
    assert (after.current, after.previous) == ("1", None)
    assert [after.state_of(version) for version in "23"] == [VersionState.DRAINING, VersionState.DRAINING]
    assert change.entry.summary == "version 1 is current again instead of 2"
    with pytest.raises(Conflict, match="has nothing to roll back"):
        rolled_back(after, "desk", WHO)
    with pytest.raises(Conflict, match="has nothing to roll back"):
        rolled_back(None, "desk", WHO)


def test_a_version_that_ramps_again_is_not_draining() -> None:
    rolled = rollout_of(rolled_back(ramping(), "desk", WHO))
    again = rollout_of(set_weights(rolled, VERSIONS, {"2": 1}, WHO))
    assert again.left == ()
    assert again.ramp is not None


def test_a_rollout_is_cleared_when_nothing_is_ramping() -> None:
    with pytest.raises(Conflict, match="version '2' is ramping"):
        cleared(ramping(), "desk", WHO)
    with pytest.raises(Conflict, match="has no rollout"):
        cleared(None, "desk", WHO)
    change = cleared(rollout_of(promoted(ramping(), VERSIONS, WHO)), "desk", WHO)
    assert (change.rollout, change.entry.action) == (None, Action.CLEARED)


def test_the_stored_form_gives_the_same_rollout() -> None:
    for rollout in (ramping(testers=[HEADER]), rollout_of(promoted(ramping(), VERSIONS, WHO))):
        assert rollout_from(rollout.stored()) == rollout
