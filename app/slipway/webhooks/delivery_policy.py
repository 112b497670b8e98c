"""When a webhook is called again, where a redirect may lead, and what clients are shown of a failed call."""

from __future__ import annotations

import ssl
from typing import Final
from urllib.parse import urljoin

import httpx

from slipway.errors import InvalidRequest, SlipwayError
from slipway.webhooks.urls import NoAddress, Target

RETRY_PAUSES_MS: Final = (2_000, 15_000)
"""The pauses before the second and the third try. There is no fourth."""

_PROBLEM_CHARS: Final = 300


class DeliveryRejected(Exception):
    """The delivery failed and is not tried again: the receiver rejected it, or it may not be sent."""


class DeliveryFailed(Exception):
    """The receiver failed to process the delivery. Another try may succeed."""


def redirect_target(url: str, location: str) -> str:
    """The absolute URL that a redirect leads to. Raises `DeliveryRejected` unless it is on the same server: the run's
    state and the headers of langgraph.json are meant for the host that the client named. They are never sent over plain
    http after https."""
    try:
        target = urljoin(url, location)
        if Target.from_url(url).may_redirect_to(Target.from_url(target)):
            return target
    except (InvalidRequest, ValueError):
        pass
    raise DeliveryRejected("a redirect leads to another server, or from https to http: name the URL that it leads to")


def problem_of(error: BaseException) -> str:
    """The problem of a failed call as clients receive it. Clients choose the host, and must receive nothing about
    the network behind it: the texts of network errors go to the log only."""
    if isinstance(error, DeliveryFailed | DeliveryRejected | NoAddress | SlipwayError):
        return str(error)[:_PROBLEM_CHARS]
    if isinstance(error, TimeoutError | httpx.TimeoutException):
        return "no response in time"
    if isinstance(error, OSError | httpx.ConnectError):
        return "no secure connection (TLS)" if _is_tls_error(error) else "no connection"
    if isinstance(error, httpx.TransportError):
        return "the connection was closed before the response"
    return "the call failed; the server's log has the details"


def problem_for_log(error: BaseException) -> str:
    """The class and the text of the error, for the log only: the text may describe the network."""
    return f"{type(error).__name__}: {error}"[:_PROBLEM_CHARS]


def _is_tls_error(error: BaseException | None) -> bool:
    while error is not None and not isinstance(error, ssl.SSLError):
        error = error.__cause__ or error.__context__
    return error is not None
