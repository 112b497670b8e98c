"""What a failed call of a webhook means, and what clients are shown of it."""

from __future__ import annotations

import ssl
from typing import Final

import httpx

from slipway.errors import SlipwayError
from slipway.webhooks.urls import NoAddress

_PROBLEM_CHARS: Final = 300
_GONE: Final = 410
_SERVER_ERRORS: Final = 500
_BUSY: Final = frozenset({408, 425, 429})
"""The server answers, and wants fewer calls."""


class DeliveryRejected(Exception):
    """The delivery failed and is not tried again: it may not be sent."""


class ReceiverFailed(Exception):
    """The receiver responded with another status than 2xx. `wish_ms`: for so long it wants no call."""

    def __init__(self, status: int, wish_ms: int | None = None) -> None:
        super().__init__(f"HTTP {status}{' (redirects are not followed)' if 300 <= status < 400 else ''}")
        self.status, self.wish_ms = status, wish_ms

    @property
    def is_gone(self) -> bool:
        """Whether the receiver wants no further webhook: 410."""
        return self.status == _GONE

    @property
    def is_unhealthy(self) -> bool:
        """Whether the server fails, and not only this request."""
        return self.status >= _SERVER_ERRORS or self.status in _BUSY


def problem_of(error: BaseException) -> str:
    """The problem of a failed call as clients receive it. Clients choose the host, and must receive nothing about
    the network behind it: the texts of network errors go to the log only."""
    if isinstance(error, ReceiverFailed | DeliveryRejected | NoAddress | SlipwayError):
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
