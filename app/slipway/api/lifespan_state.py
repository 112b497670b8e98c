"""What the lifespan opens and every handler may use, by way of `request.state`."""

from __future__ import annotations

from typing import TypedDict, cast

from starlette.requests import HTTPConnection, Request

from slipway.api.metrics import HttpMetrics
from slipway.api.streams.long_response import OpenResponses
from slipway.services import Services


class State(TypedDict):
    """The lifespan's state."""

    services: Services
    answers: OpenResponses
    metrics: HttpMetrics


def services_of(connection: HTTPConnection) -> Services:
    """The stores of this process."""
    return cast(Services, connection.state.services)


def open_responses_of(request: Request) -> OpenResponses:
    """The streams and waits that are open in this process."""
    return cast(OpenResponses, request.state.answers)


def metrics_of(request: Request) -> HttpMetrics:
    """The counters of this process."""
    return cast(HttpMetrics, request.state.metrics)
