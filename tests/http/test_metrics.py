"""What Prometheus scrapes: the units of the figures, and which series there are."""

from __future__ import annotations

from datetime import UTC, datetime

from slipway.api.metrics import HttpMetrics
from slipway.health.findings import Finding, Level
from slipway.health.health import Health

AT = datetime(2026, 1, 1, tzinfo=UTC)


def lines(metrics: HttpMetrics, health: Health) -> list[str]:
    """The page without its comments."""
    return [line for line in metrics.page(health).decode().splitlines() if not line.startswith("#")]


def test_the_probe_is_in_seconds() -> None:
    assert "slipway_store_probe_seconds 0.25" in lines(HttpMetrics(), Health(AT, (), probe_ms=250.0))


def test_a_finding_that_has_passed_is_gone() -> None:
    metrics, shown = HttpMetrics(), 'slipway_findings{code="store.slow",level="warning"} 1.0'
    assert shown in lines(metrics, Health(AT, (Finding("store.slow", Level.WARNING, "look at it"),)))
    assert not any("store.slow" in line for line in lines(metrics, Health(AT, ())))


def test_methods_and_paths_that_nobody_serves_make_one_series() -> None:
    metrics = HttpMetrics()
    for number in range(3):
        metrics.count_request({"method": f"M{number}", "path": f"/{number}", "endpoint": None}, 404, 0.1)
    counted = [line for line in lines(metrics, Health(AT, ())) if line.startswith("slipway_http_requests_total")]
    assert counted == ['slipway_http_requests_total{method="other",route="other",status="404"} 3.0']
