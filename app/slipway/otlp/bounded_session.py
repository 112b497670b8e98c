"""The HTTP session of the exporter: it reads little of a response, and says why a request failed.

The receiver of spans may be broken, or may be another program than expected. `requests` would load a response of any
size, and would follow one that never ends.
"""

from __future__ import annotations

import time
from typing import Any, Final

import requests
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse

READ_BYTES: Final = 64 * 1024
"""The most bytes of a response that are read; then its connection is closed."""
READ_WITHIN_S: Final = 2.0
"""The longest time for them. What counts is the status, which has arrived before."""
_CHUNK_BYTES: Final = 4096


class BoundedSession(requests.Session):
    """`problem` says why the last request failed, and `rejected_spans` how many of its spans the receiver did not
    store."""

    def __init__(self) -> None:
        super().__init__()
        self.problem = ""
        self.rejected_spans = 0

    def request(self, *arguments: Any, **options: Any) -> requests.Response:
        """The response, with its body or with an empty one."""
        self.problem, self.rejected_spans = "", 0
        try:
            response = super().request(*arguments, **{**options, "stream": True})
        except Exception as error:
            self.problem = type(error).__name__
            raise
        body = _read(response)
        if not response.ok or response.is_redirect or 300 <= response.status_code < 400:
            self.problem = f"HTTP {response.status_code}"
        elif body:
            self.rejected_spans = _rejected(response, body)
        if 300 <= response.status_code < 400:  # the exporter would count it as a success
            raise requests.TooManyRedirects("the receiver of spans redirects")
        return response


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
    """How many spans the receiver did not store, by its own account.

    https://opentelemetry.io/docs/specs/otlp/#partial-success-1
    """
    if response.headers.get("content-type", "").partition(";")[0].strip() != "application/x-protobuf":
        return 0
    if response.headers.get("content-encoding", "identity") != "identity":
        return 0
    try:
        answer = ExportTraceServiceResponse.FromString(body)
    except Exception:  # another program answers
        return 0
    return max(0, int(answer.partial_success.rejected_spans))
