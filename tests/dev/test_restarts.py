"""The pause before a child that exited is restarted."""

from __future__ import annotations

import pytest

from slipway.processes.restart_delays import (
    CRASH_LOOP_EARLY_EXITS,
    CRASH_LOOP_EXITS_BEFORE_READY,
    FREE_EARLY_EXITS,
    LONGEST_PAUSE_S,
    SERVED_PAUSE_S,
    STEADY_AFTER_S,
    Restarts,
)

pytestmark = pytest.mark.processes


def test_a_child_that_ran_for_long_is_restarted_at_once() -> None:
    restarts = Restarts()
    assert [restarts.record_exit(was_ready=True, lived_s=STEADY_AFTER_S) for _ in range(20)] == [0] * 20
    assert [restarts.record_exit(was_ready=False, lived_s=STEADY_AFTER_S) for _ in range(20)] == [0] * 20


def test_a_ready_child_that_exits_early_is_restarted_after_a_short_pause() -> None:
    restarts = Restarts()
    pauses = [restarts.record_exit(was_ready=True, lived_s=0.5) for _ in range(CRASH_LOOP_EARLY_EXITS)]
    assert pauses == [0] * FREE_EARLY_EXITS + [SERVED_PAUSE_S] * (CRASH_LOOP_EARLY_EXITS - FREE_EARLY_EXITS)
    assert not restarts.just_became_crash_loop


def test_many_early_exits_of_a_ready_child_are_a_crash_loop() -> None:
    restarts, reported, pauses = Restarts(), [], []
    for _ in range(CRASH_LOOP_EARLY_EXITS + 20):
        pauses.append(restarts.record_exit(was_ready=True, lived_s=0.5))
        reported.append(restarts.just_became_crash_loop)
    assert pauses[-1] == LONGEST_PAUSE_S
    assert reported.count(True) == 1


def test_the_pause_grows_for_a_child_that_never_becomes_ready() -> None:
    restarts = Restarts()
    pauses = [restarts.record_exit(was_ready=False, lived_s=0.5) for _ in range(12)]
    assert pauses[:5] == [0, 0.1, 0.2, 0.4, 0.8]
    assert pauses[-1] == LONGEST_PAUSE_S


def test_a_crash_loop_is_reported_once() -> None:
    restarts, reported = Restarts(), []
    for _ in range(10):
        restarts.record_exit(was_ready=False, lived_s=0.5)
        reported.append(restarts.just_became_crash_loop)
    assert reported.count(True) == 1
    assert reported.index(True) == CRASH_LOOP_EXITS_BEFORE_READY - 1


def test_readiness_ends_a_crash_loop() -> None:
    restarts = Restarts()
    for _ in range(10):
        restarts.record_exit(was_ready=False, lived_s=0.5)
    assert restarts.record_exit(was_ready=True, lived_s=0.5) == 0
    assert restarts.record_exit(was_ready=False, lived_s=0.5) == 0


def test_a_long_lifetime_resets_the_count_of_early_exits() -> None:
    restarts = Restarts()
    for _ in range(CRASH_LOOP_EARLY_EXITS + 10):
        restarts.record_exit(was_ready=True, lived_s=0.5)
    restarts.record_exit(was_ready=True, lived_s=STEADY_AFTER_S)
    assert restarts.record_exit(was_ready=True, lived_s=0.5) == 0
