"""Requests as the metrics of a web process count them."""

from __future__ import annotations

from slipway.api.request_metrics import RequestMetrics
from slipway.metrics.process_metrics import ProcessMetrics


def test_requests_that_match_no_route_are_counted_in_one_series() -> None:
    requests, metrics = RequestMetrics(), ProcessMetrics("web")
    requests.count_in(metrics, lambda: 0)
    for number in range(3):
        requests.count_request({"method": f"M{number}", "path": f"/{number}", "endpoint": None}, 404, 0.1)
    counts = metrics.publication().counts
    assert {field: count for field, count in counts.items() if field.startswith("http_requests\x1f")} == {
        "http_requests\x1fother\x1fother\x1f404": 3
    }
