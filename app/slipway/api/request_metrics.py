"""What a web process counts of requests, by the declarations of its routes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from starlette.types import Scope

from slipway.metrics.process_metrics import ProcessMetrics
from slipway.telemetry.table.deployment_metrics import HTTP_OPEN_STREAMS, HTTP_REJECTED_CLIENTS, RATE_LIMITED_REQUESTS
from slipway.telemetry.table.requests import HTTP_REQUEST_SECONDS, HTTP_REQUESTS

_OTHER: Final = "other"


class RequestMetrics:
    """Counts requests by method, route and status. The path of a request is not a label, because every id would
    create a new time series."""

    def __init__(self) -> None:
        self._metrics = ProcessMetrics("web")
        self._paths: dict[object, str] = {}

    def count_in(self, metrics: ProcessMetrics, open_streams: Callable[[], int]) -> None:
        """From now on, requests are counted in these metrics, with the number of open streams."""
        self._metrics = metrics
        metrics.before_publication(lambda: metrics.set(HTTP_OPEN_STREAMS, open_streams()))

    def count_limited(self, policy: str, shadow: bool) -> None:
        """Counts a request above a rate."""
        self._metrics.count(RATE_LIMITED_REQUESTS, policy, "yes" if shadow else "no")

    def count_rejected(self, code: str) -> None:
        """Counts a client whose request exceeded a limit of its connection."""
        self._metrics.count(HTTP_REJECTED_CLIENTS, code)

    def name_route(self, handler: object, path: str) -> None:
        """Requests that `handler` serves are counted for `path`."""
        self._paths[handler] = path

    def route_of(self, scope: Scope) -> str:
        """The path of the route of a request, with the names of its parameters; `other` if no route was found."""
        return self._paths.get(scope.get("endpoint"), _OTHER)

    def count_request(self, scope: Scope, status: int, took_s: float) -> None:
        """`status` is 499 when the client disconnected before the response started."""
        route = self.route_of(scope)
        method = _OTHER if route == _OTHER else scope["method"]
        self._metrics.count(HTTP_REQUESTS, method, route, str(status))
        self._metrics.observe(HTTP_REQUEST_SECONDS, took_s, route)
