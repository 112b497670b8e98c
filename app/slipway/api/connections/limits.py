"""The limits of one connection."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from slipway.settings import Settings

LEAST_BYTES_PER_S: Final = 1024
"""A body that arrives slower than this on average is too slow, after the time of `request_body_timeout_s`."""

ANSWER_READ_WITHIN_S: Final = 2.0
"""Time that a client has to read why it was rejected, before its connection is closed."""

CHECK_EVERY_S: Final = 0.5
"""How often the deadlines of all connections are compared with the time: a client is closed up to this much later."""


@dataclass(frozen=True, slots=True)
class ConnectionLimits:
    """What a client may send, in bytes, and how long it may take, in seconds. The settings of the same names describe
    each of them."""

    max_connections: int
    max_request_line_bytes: int
    max_headers: int
    max_header_bytes: int
    max_headers_bytes: int
    max_pipelined_requests: int
    request_head_timeout_s: float
    request_body_timeout_s: float
    response_read_timeout_s: float


def limits_of(settings: Settings) -> ConnectionLimits:
    """The limits that the settings contain."""
    return ConnectionLimits(
        max_connections=settings.max_connections,
        max_request_line_bytes=settings.max_request_line_bytes,
        max_headers=settings.max_headers,
        max_header_bytes=settings.max_header_bytes,
        max_headers_bytes=settings.max_headers_bytes,
        max_pipelined_requests=settings.max_pipelined_requests,
        request_head_timeout_s=settings.request_head_timeout_s,
        request_body_timeout_s=settings.request_body_timeout_s,
        response_read_timeout_s=settings.response_read_timeout_s,
    )
