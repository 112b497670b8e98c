"""How long a dead child has to wait for its next life."""

from __future__ import annotations

import pytest

from slipway.processes.restart_delays import (
    CRASH_LOOP_EARLY_EXITS,
    FREE_EARLY_EXITS,
    LONGEST_PAUSE_S,
    LOOP_AFTER,
    SERVED_PAUSE_S,
    STEADY_AFTER_S,
    Restarts,
)

pytestmark = pytest.mark.processes


def test_a_child_that_had_been_fine_is_replaced_at_once() -> None:
    restarts = Restarts()
    assert [restarts.record_exit(was_ready=True, lived_s=STEADY_AFTER_S) for _ in range(20)] == [0] * 20
    assert [restarts.record_exit(was_ready=False, lived_s=STEADY_AFTER_S) for _ in range(20)] == [0] * 20


def test_one_that_serves_and_dies_young_waits_briefly() -> None:
    restarts = Restarts()
    pauses = [restarts.record_exit(was_ready=True, lived_s=0.5) for _ in range(CRASH_LOOP_EARLY_EXITS)]
    assert pauses == [0] * FREE_EARLY_EXITS + [SERVED_PAUSE_S] * (CRASH_LOOP_EARLY_EXITS - FREE_EARLY_EXITS)
    assert not restarts.just_became_crash_loop


def test_but_not_for_ever() -> None:
    restarts, told, pauses = Restarts(), [], []
    for _ in range(CRASH_LOOP_EARLY_EXITS + 20):
        pauses.append(restarts.record_exit(was_ready=True, lived_s=0.5))
        told.append(restarts.just_became_crash_loop)
    assert pauses[-1] == LONGEST_PAUSE_S
    assert told.count(True) == 1


def test_one_that_never_gets_ready_waits_longer_and_longer() -> None:
    restarts = Restarts()
    pauses = [restarts.record_exit(was_ready=False, lived_s=0.5) for _ in range(12)]
    assert pauses[:5] == [0, 0.1, 0.2, 0.4, 0.8]
    assert pauses[-1] == LONGEST_PAUSE_S


def test_a_crash_loop_is_reported_once() -> None:
    restarts, told = Restarts(), []
    for _ in range(10):
        restarts.record_exit(was_ready=False, lived_s=0.5)
        told.append(restarts.just_became_crash_loop)
    assert told.count(True) == 1
    assert told.index(True) == LOOP_AFTER - 1


def test_being_ready_ends_a_crash_loop() -> None:
    restarts = Restarts()
    for _ in range(10):
        restarts.record_exit(was_ready=False, lived_s=0.5)
    assert restarts.record_exit(was_ready=True, lived_s=0.5) == 0
    assert restarts.record_exit(was_ready=False, lived_s=0.5) == 0


def test_a_long_life_ends_the_count_of_early_deaths() -> None:
    restarts = Restarts()
    for _ in range(CRASH_LOOP_EARLY_EXITS + 10):
        restarts.record_exit(was_ready=True, lived_s=0.5)
    restarts.record_exit(was_ready=True, lived_s=STEADY_AFTER_S)
    assert restarts.record_exit(was_ready=True, lived_s=0.5) == 0
