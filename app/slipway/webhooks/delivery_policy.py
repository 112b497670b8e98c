"""When a webhook is called again, where a redirect may lead, and what clients are shown of a failed call."""

from __future__ import annotations

import ssl
from typing import Final
from urllib.parse import urljoin

import httpx

from slipway.errors import InvalidRequest, SlipwayError
from slipway.webhooks.urls import NoAddress, Target

RETRY_PAUSES_MS: Final = (2_000, 15_000)
"""Before the second and the third try; there is no fourth."""

_PROBLEM_CHARS: Final = 300


class DeliveryRejected(Exception):
    """The receiver, or its address, will not have it; trying again will not help."""


class DeliveryFailed(Exception):
    """It did not work now."""


def redirect_target(url: str, place: str) -> str:
    """Returns the absolute URL that a redirect leads to. Raises `DeliveryRejected` unless it is on the same server: the
    run's state and the headers of langgraph.json are meant for the host that the client named. They are never sent
    over plain http after https."""
    try:
        there = urljoin(url, place)
        if Target.of(url).may_redirect_to(Target.of(there)):
            return there
    except (InvalidRequest, ValueError):
        pass
    raise DeliveryRejected("a redirect leads to another server, or from https to http: name the URL that it leads to")


def problem_of(error: BaseException) -> str:
    """What clients see of a call that failed. They named the host, and must not learn what it is inside: texts of the
    network's errors are for the log alone."""
    if isinstance(error, DeliveryFailed | DeliveryRejected | NoAddress | SlipwayError):
        return str(error)[:_PROBLEM_CHARS]
    if isinstance(error, TimeoutError | httpx.TimeoutException):
        return "no answer in time"
    if isinstance(error, OSError | httpx.ConnectError):
        return "no secure connection (TLS)" if _of_tls(error) else "no connection"
    if isinstance(error, httpx.TransportError):
        return "the connection broke off"
    return "the call failed; the server's log has the details"


def _of_tls(error: BaseException | None) -> bool:
    while error is not None and not isinstance(error, ssl.SSLError):
        error = error.__cause__ or error.__context__
    return error is not None


def log_text(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}"[:_PROBLEM_CHARS]
