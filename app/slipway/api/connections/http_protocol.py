"""The HTTP protocol of a connection, with limits on what the client sends and on the time that it takes.

uvicorn and httptools parse requests. Neither limits how long a request line or a header may be, how many there are, or
how long the client takes, so `BoundedHttpProtocol` counts in the callbacks of the parser, and what the parser has not
reported yet: it reports a header when the next one begins, and nothing between the chunks of a body. A client that is
too slow is found by `check_deadlines`, which the server calls for all connections at an interval: a timer for each
request would cost more.
"""

from __future__ import annotations

import asyncio
from typing import Any, Final, cast

import structlog
from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from slipway.api.connections.limits import ANSWER_READ_WITHIN_S, LEAST_BYTES_PER_S
from slipway.api.connections.rejections import address_of, raw_response
from slipway.api.connections.server_config import ServerConfig
from slipway.api.connections.unread_responses import UnreadResponse
from slipway.errors import (
    ClientTooSlow,
    HeadersTooLarge,
    MalformedRequest,
    RequestLineTooLong,
    SlipwayError,
    TooManyConnections,
)

log = structlog.get_logger(__name__)

_MOST_DISCARDED_BYTES: Final = 1024 * 1024
"""Of what a rejected client still sends, this much is read and discarded, so that it can read the response."""

_LONG_CHUNK_HEADERS: Final = "the sizes of the chunks, with their extensions, or the trailers of the body are too long"

_WEBSOCKET_LINE_BYTES: Final = 8 * 1024
"""The longest line of a WebSocket's request that the library `websockets` accepts."""


class BoundedHttpProtocol(HttpToolsProtocol):
    """Rejects what exceeds the limits of its config: 414 for the request line, 431 for headers, 408 for a slow client,
    400 for what is no HTTP, 503 for one connection too many. The connection is closed then. If an earlier response of
    the connection is in progress, it is closed without a response, which the client would read as part of the other."""

    # Dictionaries of objects share at most 30 keys: without slots, that of a connection would take 1.2 KB more
    __slots__ = (
        "_body_bytes",
        "_body_since",
        "_discarded_bytes",
        "_has_sent",
        "_head_since",
        "_is_in_head",
        "_limits",
        "_most_unreported_bytes",
        "_now",
        "_reason",
        "_rejected_at",
        "_unread",
        "_unreported_bytes",
        "_web_config",
    )

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self._web_config = cast("ServerConfig", config)
        self._limits = self._web_config.limits
        self._reason: SlipwayError | None = None
        self._rejected_at: float | None = None
        self._discarded_bytes = 0
        self.headers = []
        self._is_in_head = True
        self._has_sent = False
        self._now = 0.0
        self._unreported_bytes = self._body_bytes = 0
        limits = self._limits
        self._most_unreported_bytes = limits.max_headers_bytes + limits.max_headers * len(": \r\n")
        self._head_since: float | None = None
        self._body_since: float | None = None
        self._unread: UnreadResponse | None = None

    # what the event loop calls

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._head_since = self.loop.time()
        self._unread = UnreadResponse(transport, self._limits.response_read_timeout_s)
        if len(self.connections) > self._limits.max_connections:
            self._reject(TooManyConnections(self._limits.max_connections))

    def data_received(self, data: bytes) -> None:
        if self._rejected_at is not None:
            self._discard(len(data))
            return
        self._has_sent, self._now = True, self.loop.time()
        if self._is_in_head and self._head_since is None:
            self._head_since = self._now
        step = self._limits.max_headers_bytes
        if len(data) <= step or not self._is_in_head:
            self._parse(data)
            return
        for start in range(0, len(data), step):
            self._parse(data[start : start + step])
            if self._rejected_at is not None or self.transport.get_protocol() is not self:
                return

    def _parse(self, data: bytes) -> None:
        self._unreported_bytes += len(data)
        super().data_received(data)
        if self._rejected_at is not None:
            return
        if self._is_in_head:
            if self._unreported_bytes > self._most_unreported_bytes or len(self.headers) > self._limits.max_headers:
                self._reject(self._headers_too_large())
        elif self._unreported_bytes > self._most_unreported_bytes:
            self._reject(MalformedRequest(_LONG_CHUNK_HEADERS))

    # what the parser calls; each method is called for each request or each header, so they do little

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._is_in_head, self._head_since = True, self._now
        self._unreported_bytes = 0

    def on_url(self, url: bytes) -> None:
        self._unreported_bytes = 0
        self.url += url
        if len(self.url) > self._limits.max_request_line_bytes:
            self._stop_parsing(RequestLineTooLong(self._limits.max_request_line_bytes))

    def on_headers_complete(self) -> None:
        self._check_headers()
        if self.parser.should_upgrade() and self._should_upgrade():
            self._check_websocket_lines()
        if len(self.pipeline) >= self._limits.max_pipelined_requests and self._is_answering():
            self._stop_parsing(
                MalformedRequest("more requests wait on the connection than SLIPWAY_MAX_PIPELINED_REQUESTS")
            )
        self._unreported_bytes, self._is_in_head, self._head_since = 0, False, None
        self._body_since, self._body_bytes = self._now, 0
        self.scope["headers"] = self.headers.copy()  # uvicorn appends trailers, which must not become headers
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        self._unreported_bytes = 0
        self._body_bytes += len(body)
        super().on_body(body)

    def on_message_complete(self) -> None:
        self._unreported_bytes, self._is_in_head = 0, True
        self._head_since = self._body_since = None
        self.headers = list(self.scope["headers"])  # without the trailers
        super().on_message_complete()

    def send_400_response(self, msg: str) -> None:
        """uvicorn calls it when the parser has stopped."""
        reason, self._reason = self._reason, None
        self._reject(reason or MalformedRequest("this is no valid request of HTTP"))

    # limits

    def _headers_too_large(self) -> HeadersTooLarge:
        limits = self._limits
        return HeadersTooLarge(limits.max_headers, limits.max_header_bytes, limits.max_headers_bytes)

    def _check_headers(self) -> None:
        """Also that two programs find the same end of the request (RFC 9112, 3.2 and 6.1). The parser has rejected
        different lengths, and a length beside a transfer encoding."""
        limits, sizes = self._limits, [len(name) + len(value) for name, value in self.headers]
        if len(sizes) > limits.max_headers or sum(sizes) > limits.max_headers_bytes:
            self._stop_parsing(self._headers_too_large())
        if sizes and max(sizes) > limits.max_header_bytes:
            self._stop_parsing(self._headers_too_large())
        version, names = self.parser.get_http_version(), dict(self.headers)
        if b"host" not in names and version == "1.1":
            self._stop_parsing(MalformedRequest("a request of HTTP/1.1 must have the header host"))
        if b"transfer-encoding" in names:
            encodings = [value.lower() for name, value in self.headers if name == b"transfer-encoding"]
            if version != "1.1" or encodings != [b"chunked"]:
                self._stop_parsing(MalformedRequest("transfer-encoding: only chunked is accepted, in HTTP/1.1"))

    def _check_websocket_lines(self) -> None:
        """The library that reads the request again would fail."""
        longest = max((len(name) + len(value) for name, value in self.headers), default=0)
        if max(longest, len(self.url)) > _WEBSOCKET_LINE_BYTES - len("GET  HTTP/1.1\r\n"):
            self._stop_parsing(HeadersTooLarge(self._limits.max_headers, _WEBSOCKET_LINE_BYTES, _WEBSOCKET_LINE_BYTES))

    def _stop_parsing(self, reason: SlipwayError) -> None:
        """Makes the parser stop; `send_400_response` follows."""
        self._reason = reason
        raise reason

    def check_deadlines(self, now: float) -> None:
        """Closes the connection if the client takes too long. `now` is the time of the event loop."""
        if self._unread is not None and self._unread.is_stalled(now):
            log.info("http.client_rejected", code="client.not_reading", client=address_of(self.client))
            self._web_config.count_rejected("client.not_reading")
            self.transport.abort()
        elif self._rejected_at is not None:
            if now - self._rejected_at > ANSWER_READ_WITHIN_S:
                self.transport.abort()
        elif self.flow.read_paused:
            self._wait_for_application(now)
        elif self._head_since is not None and now - self._head_since > self._limits.request_head_timeout_s:
            self._reject_slow("the request line and the headers")
        elif self._body_since is not None and now - self._body_since > self._allowed_body_s():
            self._reject_slow("the body")

    def _wait_for_application(self, now: float) -> None:
        """The application reads nothing now, so the client is not the slow one."""
        if self._body_since is not None:
            self._body_since, self._body_bytes = now, 0
        if self._head_since is not None:
            self._head_since = now

    def _allowed_body_s(self) -> float:
        return self._limits.request_body_timeout_s + self._body_bytes / LEAST_BYTES_PER_S

    def _reject_slow(self, what: str) -> None:
        if self._has_sent and not self._is_answered_in_body():
            self._reject(ClientTooSlow(what))
        else:
            self.transport.close()  # a browser opens connections before it needs them; it expects no response

    def _is_answered_in_body(self) -> bool:
        return not self._is_in_head and self.cycle is not None and self.cycle.response_complete

    # rejecting

    def _reject(self, reason: SlipwayError) -> None:
        """Sends the response for `reason`, unless another one is in progress, and ends the connection."""
        if self.transport.is_closing():
            return
        log.info("http.client_rejected", code=reason.code, client=address_of(self.client), problem=str(reason))
        self._web_config.count_rejected(reason.code)
        self._rejected_at = self.loop.time()
        self._unset_keepalive_if_required()
        if self._has_response_in_progress():
            self.transport.abort()
            return
        self._end_request()
        self.transport.write(raw_response(reason, self.server_state.default_headers))
        if self.transport.can_write_eof():
            self.flow.resume_reading()
            self.transport.write_eof()
        else:
            self.transport.close()

    def _is_answering(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete

    def _has_response_in_progress(self) -> bool:
        """Whether the client waits for the response to an earlier request, or receives one."""
        if not self._is_answering():
            return False
        return self._is_in_head or self.cycle.response_started or bool(self.pipeline)

    def _end_request(self) -> None:
        """The application learns that the client is gone."""
        if self.cycle is not None and not self.cycle.response_complete:
            self.cycle.disconnected = True
            self.cycle.message_event.set()

    def _discard(self, count: int) -> None:
        self._discarded_bytes += count
        if self._discarded_bytes > _MOST_DISCARDED_BYTES:
            self.transport.abort()
