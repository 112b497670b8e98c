"""The metrics page for Prometheus: units of values, and removal and number of series."""

from __future__ import annotations

from datetime import UTC, datetime

from slipway.api.metrics import HttpMetrics
from slipway.graph_versions.record import Lane
from slipway.health.findings import Finding, Level
from slipway.health.health import Health
from slipway.health.scripts import WaitingForPeople, Workload
from slipway.switches.record import Kind, OffSwitches, Switch, Target

AT = datetime(2026, 1, 1, tzinfo=UTC)


def lines(metrics: HttpMetrics, health: Health) -> list[str]:
    """The lines of the metrics page without comments."""
    return [line for line in metrics.page(health).decode().splitlines() if not line.startswith("#")]


def test_the_duration_of_the_store_probe_is_in_seconds() -> None:
    assert "slipway_store_probe_seconds 0.25" in lines(HttpMetrics(), Health(AT, (), probe_ms=250.0))


def test_what_waits_for_people_is_counted_by_graph_and_by_what_pauses_a_run() -> None:
    metrics = HttpMetrics()
    waiting = WaitingForPeople({"desk": 3, "chat": 0}, {"desk": 1, "chat": 0}, 90.5, 2, 4)
    off = OffSwitches([Switch(Target(Kind.TOOL, "refund"), "eve", "")])
    shown = lines(metrics, Health(AT, (), waiting=waiting, switches=off))
    for line in (
        'slipway_reviews_undecided{graph="desk"} 3.0',
        'slipway_reviews_overdue{graph="desk"} 1.0',
        "slipway_reviews_oldest_seconds 90.5",
        'slipway_paused_runs{by="operator"} 2.0',
        'slipway_paused_runs{by="switch"} 4.0',
        'slipway_switches_off{kind="tool"} 1.0',
        'slipway_switches_off{kind="node"} 0.0',
    ):
        assert line in shown
    unknown = lines(metrics, Health(AT, ()))
    assert "slipway_reviews_oldest_seconds NaN" in unknown
    assert not any("desk" in line for line in unknown)


def test_what_waits_for_a_version_is_counted_by_graph_and_version() -> None:
    metrics = HttpMetrics()
    lanes = [
        Lane("desk", "1", False, False, 3, 2.5),
        Lane("desk", "1", True, True, 1, 4.5),
        Lane("x", None, False, True, 1, 0),
    ]
    shown = lines(metrics, Health(AT, (), work=Workload(1, 5, 0, 0, 0.0, {}, lanes)))
    for line in (
        'slipway_version_queue_depth{graph="desk",version="1"} 4.0',
        'slipway_version_queue_oldest_seconds{graph="desk",version="1"} 4.5',
        'slipway_version_queue_depth{graph="x",version=""} 1.0',
        "slipway_versions_unserved 1.0",
    ):
        assert line in shown
    unknown = lines(metrics, Health(AT, ()))
    assert "slipway_versions_unserved NaN" in unknown
    assert not any("desk" in line for line in unknown)


def test_a_health_finding_that_no_longer_holds_is_removed() -> None:
    metrics, series = HttpMetrics(), 'slipway_findings{code="redis.slow",level="warning"} 1.0'
    assert series in lines(metrics, Health(AT, (Finding("redis.slow", Level.WARNING, "check the network"),)))
    assert not any("redis.slow" in line for line in lines(metrics, Health(AT, ())))


def test_requests_that_match_no_route_are_counted_in_one_series() -> None:
    metrics = HttpMetrics()
    for number in range(3):
        metrics.count_request({"method": f"M{number}", "path": f"/{number}", "endpoint": None}, 404, 0.1)
    counted = [line for line in lines(metrics, Health(AT, ())) if line.startswith("slipway_http_requests_total")]
    assert counted == ['slipway_http_requests_total{method="other",route="other",status="404"} 3.0']
