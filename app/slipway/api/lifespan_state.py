"""The state of the lifespan: what the application opens when it starts. Handlers read it from `request.state`."""

from __future__ import annotations

from typing import TypedDict, cast

from starlette.requests import HTTPConnection

from slipway.api.metrics import HttpMetrics
from slipway.api.open_responses import OpenResponses
from slipway.services import Services


class LifespanState(TypedDict):
    """The members that Slipway adds. The lifespan of a host app can add more."""

    services: Services
    open_responses: OpenResponses
    metrics: HttpMetrics


def services_of(connection: HTTPConnection) -> Services:
    """The stores of this process."""
    return cast(Services, connection.state.services)


def open_responses_of(connection: HTTPConnection) -> OpenResponses:
    """The event streams and waiting responses of this process."""
    return cast(OpenResponses, connection.state.open_responses)


def metrics_of(connection: HTTPConnection) -> HttpMetrics:
    """The metrics of this application."""
    return cast(HttpMetrics, connection.state.metrics)
