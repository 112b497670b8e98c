"""Sends encoded spans to the receiver: one request at a time, repeated while that may help."""

from __future__ import annotations

import gzip
import random
import threading
import time
import zlib
from collections.abc import Callable, Mapping
from typing import Final

import requests

from slipway.otlp.receiver_reply import Reply, reply_of, reply_of_error
from slipway.otlp.variables import ExporterVariables

MOST_TRIES: Final = 6
_FIRST_WAIT_S: Final = 1.0
"""Before the second try; then twice as long each time, and a fifth more or less, unless the receiver says how long."""
_FORMAT: Final = {"content-type": "application/x-protobuf"}
_COMPRESS: Final[Mapping[str, Callable[[bytes], bytes]]] = {
    "none": lambda body: body,
    "gzip": gzip.compress,
    "deflate": zlib.compress,
}


class SpanSender:
    """The connection to the receiver. One thread calls `send`; any thread may call `stop`."""

    def __init__(self, variables: ExporterVariables) -> None:
        self._url, self._timeout_s = variables.endpoint, variables.timeout_s
        self._session = requests.Session()
        self._certificate = variables.certificate
        if variables.client_certificate is not None:
            key, certificate = variables.client_key, variables.client_certificate
            self._session.cert = certificate if key is None else (certificate, key)
        self._compress = _COMPRESS[variables.compression]
        encoding = {} if variables.compression == "none" else {"content-encoding": variables.compression}
        self._headers = {**_FORMAT, **encoding, **variables.headers}
        self._stopped = threading.Event()

    def send(self, body: bytes) -> Reply:
        """Sends the request until it is accepted, for at most the time that the variables allow. Never raises."""
        body, deadline = self._compress(body), time.monotonic() + self._timeout_s
        reply = self._try(body, deadline)
        if reply.may_try_again and reply.try_after_s is None and not reply.problem.startswith("HTTP"):
            reply = self._try(body, deadline)  # the receiver may have closed a connection that was not used for long
        for tries in range(1, MOST_TRIES):
            wait_s = reply.try_after_s
            if wait_s is None:
                wait_s = _FIRST_WAIT_S * 2 ** (tries - 1) * random.uniform(0.8, 1.2)
            if not reply.may_try_again or time.monotonic() + wait_s > deadline or self._stopped.wait(wait_s):
                break
            reply = self._try(body, deadline)
        return reply

    def stop(self) -> None:
        """Ends the wait for another try; there is none any more."""
        self._stopped.set()

    def _try(self, body: bytes, deadline: float) -> Reply:
        remaining_s = max(deadline - time.monotonic(), 0.001)  # `requests` rejects 0
        try:
            response = self._session.post(
                self._url,
                body,
                headers=self._headers,
                timeout=remaining_s,
                allow_redirects=False,
                stream=True,
                # of the request: `requests` prefers REQUESTS_CA_BUNDLE to that of a session
                verify=self._certificate,
            )
            return reply_of(response)
        except Exception as error:
            return reply_of_error(error)
