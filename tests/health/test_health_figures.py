"""What /metrics shows of a health check: units of values, and figures that are not known."""

from __future__ import annotations

import math
from datetime import UTC, datetime

from slipway.graph_versions.record import Lane
from slipway.health.findings import Finding, Level
from slipway.health.health import Health
from slipway.health.health_figures import show_health
from slipway.health.scripts import WaitingForPeople, Workload
from slipway.metrics.figures import Figures
from slipway.switches.record import Kind, OffSwitches, Switch, Target
from slipway.telemetry.table import deployment_metrics, people_metrics, version_metrics

AT = datetime(2026, 1, 1, tzinfo=UTC)


def figures_of(health: Health) -> Figures:
    figures = Figures()
    show_health(figures, health)
    return figures


def test_the_duration_of_the_store_probe_is_in_seconds() -> None:
    assert figures_of(Health(AT, (), probe_ms=250.0)).values(deployment_metrics.STORE_PROBE_SECONDS) == {(): 0.25}


def test_what_waits_for_people_is_counted_by_graph_and_by_what_pauses_a_run() -> None:
    waiting = WaitingForPeople({"desk": 3, "chat": 0}, {"desk": 1, "chat": 0}, 90.5, 2, 4)
    off = OffSwitches([Switch(Target(Kind.TOOL, "refund"), "eve", "")])
    shown = figures_of(Health(AT, (), waiting=waiting, switches=off))
    assert shown.values(people_metrics.REVIEWS_UNDECIDED) == {("desk",): 3, ("chat",): 0}
    assert shown.values(people_metrics.REVIEWS_OVERDUE) == {("desk",): 1, ("chat",): 0}
    assert shown.values(people_metrics.REVIEWS_OLDEST_SECONDS) == {(): 90.5}
    assert shown.values(people_metrics.PAUSED_RUNS) == {("operator",): 2, ("switch",): 4}
    assert shown.values(people_metrics.SWITCHES_OFF) == {("tool",): 1, ("node",): 0, ("graph",): 0, ("all",): 0}
    unknown = figures_of(Health(AT, ()))
    assert math.isnan(unknown.values(people_metrics.REVIEWS_OLDEST_SECONDS)[()])
    assert unknown.values(people_metrics.REVIEWS_UNDECIDED) == {}


def test_what_waits_for_a_version_is_counted_by_graph_and_version() -> None:
    lanes = [
        Lane("desk", "1", False, False, 3, 2.5),
        Lane("desk", "1", True, True, 1, 4.5),
        Lane("x", None, False, True, 1, 0),
    ]
    shown = figures_of(Health(AT, (), work=Workload(1, 5, 0, 0, 0.0, {}, lanes)))
    assert shown.values(version_metrics.VERSION_QUEUE_DEPTH) == {("desk", "1"): 4, ("x", ""): 1}
    assert shown.values(version_metrics.VERSION_QUEUE_OLDEST_SECONDS) == {("desk", "1"): 4.5, ("x", ""): 0}
    assert shown.values(version_metrics.VERSIONS_UNSERVED) == {(): 1}
    assert math.isnan(figures_of(Health(AT, ())).values(version_metrics.VERSIONS_UNSERVED)[()])


def test_findings_are_shown_by_code_and_level() -> None:
    shown = figures_of(Health(AT, (Finding("redis.slow", Level.WARNING, "check the network"),)))
    assert shown.values(deployment_metrics.FINDINGS) == {("redis.slow", "warning"): 1}
    assert shown.values(deployment_metrics.READY) == {(): 1}
