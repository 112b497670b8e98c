"""HTTP requests: their routes, statuses and times."""

from __future__ import annotations

from typing import Final

from slipway.telemetry.table.area import Area
from slipway.telemetry.table.fields import METHOD, ROUTE, STATUS
from slipway.telemetry.table.metric_kind import counter, histogram

HTTP_REQUESTS: Final = counter("slipway_http_requests", "Requests by method, route and status", METHOD, ROUTE, STATUS)
HTTP_REQUEST_SECONDS: Final = histogram(
    "slipway_http_request_seconds",
    "Time to the last byte, streams included",
    ROUTE,
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30),
)

AREA: Final = Area("HTTP requests", metrics=(HTTP_REQUESTS, HTTP_REQUEST_SECONDS))
