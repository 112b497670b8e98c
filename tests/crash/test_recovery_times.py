"""The recovery times that a soak reports."""

from __future__ import annotations

from pathlib import Path

from tests.crash.effects import Effect
from tests.crash.recovery_times import KilledAttempt, Recovery, reclaim_times, recoveries_of, recovery_table


def _effect(attempt: int, at: float) -> Effect:
    return Effect("run", attempt, 1, "work", "begin", 1, at)


def test_a_recovery_is_the_time_from_the_kill_to_the_claim_of_the_next_attempt() -> None:
    killed = [KilledAttempt("run", 1, 10.0), KilledAttempt("run", 2, 18.5), KilledAttempt("run", 3, 30.0)]
    effects = [_effect(1, 9.0), _effect(3, 27.5)]
    claims = [8.0, 18.0, 27.0]
    recoveries = recoveries_of(killed, effects, claims, {("run", 1): 17.5, ("run", 2): 25.5}, kills_of_valkey=[20.0])
    assert recoveries == [Recovery(7.5, 8.0, None, False), Recovery(7.0, 8.5, 9.0, True)]
    assert [each.waited_for for each in recoveries] == ["its lease", "a worker that may claim it"]
    table = dict(recovery_table(recoveries))
    assert table["  continued after"] == "p50 8.2 s, p95 8.5 s, max 8.5 s"
    assert table["  waited for its lease"] == "1: p50 8.0 s, p95 8.0 s, max 8.0 s"


def test_the_times_of_reclaims_are_those_of_the_logs_of_the_workers(tmp_path: Path) -> None:
    log = tmp_path / "worker.log"
    line = '{"run": "run", "attempt": 2, "event": "reaper.run_reclaimed", "timestamp": "1970-01-01T00:00:09.5Z"}'
    log.write_text(f'not JSON\n{line}\n{{"event": "worker.ready"}}\n')
    assert reclaim_times([log]) == {("run", 2): 9.5}
