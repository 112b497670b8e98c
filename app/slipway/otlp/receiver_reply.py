"""What the receiver of spans replied. Little of a response is read.

The receiver may be broken, or may be another program than expected. `requests` would load a response of any size, and
would follow one that never ends.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Final

import requests
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse

READ_BYTES: Final = 64 * 1024
"""The most bytes of a response that are read; then its connection is closed."""
READ_WITHIN_S: Final = 2.0
"""The longest time for them. What counts is the status, which has arrived before."""
_CHUNK_BYTES: Final = 4096
_TRY_AGAIN: Final = frozenset({429, 502, 503, 504})
"""https://opentelemetry.io/docs/specs/otlp/#retryable-response-codes"""


@dataclass(frozen=True, slots=True)
class Reply:
    """How a request ended, also if nobody answered."""

    problem: str = ""
    """Why the receiver has not accepted the request: the status, or the class of an error. Empty if it has."""
    rejected_spans: int = 0
    """How many spans of an accepted request the receiver did not store, by its own account."""
    may_try_again: bool = False
    """Whether the same request may be accepted later."""
    try_after_s: float | None = None
    """When, if the receiver has said so."""


def reply_of(response: requests.Response) -> Reply:
    """What the response says. A redirect is not followed: headers with keys would be sent to another address."""
    body, status = _read(response), response.status_code
    if 200 <= status < 300:
        return Reply(rejected_spans=_rejected(response, body) if body else 0)
    may_try_again = status in _TRY_AGAIN
    return Reply(f"HTTP {status}", 0, may_try_again, _try_after_s(response) if may_try_again else None)


def reply_of_error(error: Exception) -> Reply:
    """What an error of the connection means."""
    return Reply(type(error).__name__, may_try_again=isinstance(error, (requests.ConnectionError, requests.Timeout)))


def _read(response: requests.Response) -> bytes | None:
    """The body as it was sent, so maybe compressed. None if it is too large or too slow."""
    read, deadline = b"", time.monotonic() + READ_WITHIN_S
    try:
        while chunk := response.raw.read1(_CHUNK_BYTES, decode_content=False):
            read += chunk
            if len(read) > READ_BYTES or time.monotonic() > deadline:
                response.close()
                return None
    except Exception:  # the status counts, not the body
        response.close()
        return None
    response.raw.release_conn()
    return read


def _rejected(response: requests.Response, body: bytes) -> int:
    """https://opentelemetry.io/docs/specs/otlp/#partial-success-1"""
    if response.headers.get("content-type", "").partition(";")[0].strip() != "application/x-protobuf":
        return 0
    if response.headers.get("content-encoding", "identity") != "identity":
        return 0
    try:
        answer = ExportTraceServiceResponse.FromString(body)
    except Exception:  # another program answers
        return 0
    return max(0, int(answer.partial_success.rejected_spans))


def _try_after_s(response: requests.Response) -> float | None:
    """The header `Retry-After` (RFC 9110, section 10.2.3): a number of seconds, or a date. None if it is not valid."""
    value = response.headers.get("retry-after", "").strip()
    try:
        seconds = float(value)
    except ValueError:
        try:
            seconds = parsedate_to_datetime(value).timestamp() - time.time()
        except (ValueError, OverflowError):
            return None
    return max(seconds, 0.0) if math.isfinite(seconds) else None
