"""How long a dead child has to wait for its next life."""

from __future__ import annotations

from slipway.processes.restart_delays import (
    FREE_DEATHS,
    LONGEST_PAUSE_S,
    LOOP_AFTER,
    PATIENT_DEATHS,
    SERVED_PAUSE_S,
    STEADY_AFTER_S,
    Restarts,
)


def test_a_child_that_had_been_fine_is_replaced_at_once() -> None:
    restarts = Restarts()
    assert [restarts.pause_s(was_ready=True, lived_s=STEADY_AFTER_S) for _ in range(20)] == [0] * 20
    assert [restarts.pause_s(was_ready=False, lived_s=STEADY_AFTER_S) for _ in range(20)] == [0] * 20


def test_one_that_serves_and_dies_young_waits_briefly() -> None:
    restarts = Restarts()
    pauses = [restarts.pause_s(was_ready=True, lived_s=0.5) for _ in range(PATIENT_DEATHS)]
    assert pauses == [0] * FREE_DEATHS + [SERVED_PAUSE_S] * (PATIENT_DEATHS - FREE_DEATHS)
    assert not restarts.loops_now


def test_but_not_for_ever() -> None:
    restarts, told, pauses = Restarts(), [], []
    for _ in range(PATIENT_DEATHS + 20):
        pauses.append(restarts.pause_s(was_ready=True, lived_s=0.5))
        told.append(restarts.loops_now)
    assert pauses[-1] == LONGEST_PAUSE_S
    assert told.count(True) == 1


def test_one_that_never_gets_ready_waits_longer_and_longer() -> None:
    restarts = Restarts()
    pauses = [restarts.pause_s(was_ready=False, lived_s=0.5) for _ in range(12)]
    assert pauses[:5] == [0, 0.1, 0.2, 0.4, 0.8]
    assert pauses[-1] == LONGEST_PAUSE_S


def test_a_crash_loop_is_told_once() -> None:
    restarts, told = Restarts(), []
    for _ in range(10):
        restarts.pause_s(was_ready=False, lived_s=0.5)
        told.append(restarts.loops_now)
    assert told.count(True) == 1
    assert told.index(True) == LOOP_AFTER - 1


def test_being_ready_ends_a_crash_loop() -> None:
    restarts = Restarts()
    for _ in range(10):
        restarts.pause_s(was_ready=False, lived_s=0.5)
    assert restarts.pause_s(was_ready=True, lived_s=0.5) == 0
    assert restarts.pause_s(was_ready=False, lived_s=0.5) == 0


def test_a_long_life_ends_the_count_of_early_deaths() -> None:
    restarts = Restarts()
    for _ in range(PATIENT_DEATHS + 10):
        restarts.pause_s(was_ready=True, lived_s=0.5)
    restarts.pause_s(was_ready=True, lived_s=STEADY_AFTER_S)
    assert restarts.pause_s(was_ready=True, lived_s=0.5) == 0
