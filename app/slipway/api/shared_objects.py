"""Objects that all requests of a process share. The lifespan of the application creates them; Starlette puts them into
the state of each request, and handlers read them with the functions below."""

from __future__ import annotations

from typing import TypedDict, cast

from starlette.requests import HTTPConnection

from slipway.api.metrics_page import MetricsPage
from slipway.api.responses_in_progress import ResponsesInProgress
from slipway.hooks.receiving import HookReceiver
from slipway.services import Services


class SharedObjects(TypedDict):
    """The objects that Slipway adds. The lifespan of a host app can add more."""

    services: Services
    responses_in_progress: ResponsesInProgress
    metrics: MetricsPage
    hooks: HookReceiver


def services_of(connection: HTTPConnection) -> Services:
    return cast(Services, connection.scope["state"]["services"])


def responses_in_progress_of(connection: HTTPConnection) -> ResponsesInProgress:
    """The event streams and waiting responses of this process."""
    return cast(ResponsesInProgress, connection.scope["state"]["responses_in_progress"])


def metrics_of(connection: HTTPConnection) -> MetricsPage:
    return cast(MetricsPage, connection.scope["state"]["metrics"])


def hooks_of(connection: HTTPConnection) -> HookReceiver:
    """The hooks of this process."""
    return cast(HookReceiver, connection.scope["state"]["hooks"])
