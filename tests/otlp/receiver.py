"""A receiver of spans: an HTTP server that decodes what OpenTelemetry's exporter sends, and may behave badly."""

from __future__ import annotations

import gzip
import socket
import ssl
import threading
import time
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from tests.waiting import wait_until

Answer = Callable[[BaseHTTPRequestHandler], None]
"""Answers a request whose body was read."""


@dataclass(frozen=True, slots=True)
class ReceivedSpan:
    """A span as it arrived."""

    trace_id: str
    span_id: str
    parent_id: str
    """Empty: none."""
    name: str
    kind: str
    started_ns: int
    ended_ns: int
    attributes: Mapping[str, Any]
    state: str
    """`tracestate`."""
    links: tuple[tuple[str, str], ...]
    """Trace and span."""
    is_error: bool
    resource: Mapping[str, Any]
    scope: tuple[str, str, str]
    """Name, version and schema URL."""


@dataclass(slots=True)
class Received:
    """What a receiver has received."""

    url: str = ""
    spans: list[ReceivedSpan] = field(default_factory=list)
    requests: list[Mapping[str, str]] = field(default_factory=list)
    """The headers of each request, and its path as `:path`."""
    raw: list[bytes] = field(default_factory=list)
    """The body of each request, decompressed."""
    answer: Answer | None = None
    """Instead of accepting all spans."""

    def named(self, name: str) -> ReceivedSpan:
        """The only span with this name."""
        (found,) = self.all_named(name)
        return found

    def all_named(self, name: str) -> list[ReceivedSpan]:
        """All spans with this name, in the order in which they started."""
        return sorted((each for each in self.spans if each.name == name), key=lambda each: each.started_ns)

    def names(self) -> set[str]:
        return {each.name for each in self.spans}

    async def until(self, *names: str) -> None:
        """Waits until there is a span with each of these names. Two processes send them, so in any order."""
        try:
            await wait_until(lambda: set(names) <= self.names(), within_s=5)
        except AssertionError:
            raise AssertionError(f"{set(names) - self.names()} not in {sorted(self.names())}") from None

    def children_of(self, parent: ReceivedSpan) -> set[str]:
        return {each.name for each in self.spans if each.parent_id == parent.span_id}


@contextmanager
def receiving(answer: Answer | None = None, tls: ssl.SSLContext | None = None) -> Iterator[Received]:
    """Inside the block, a receiver listens on loopback."""
    received, lock = Received(answer=answer), threading.Lock()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            body = _decompressed(body, self.headers.get("content-encoding", ""))
            with lock:
                received.requests.append(
                    {name.lower(): value for name, value in self.headers.items()} | {":path": self.path}
                )
                received.raw.append(body)
                received.spans += spans_in(body)
            with suppress(OSError):
                (received.answer or accept)(self)

        def log_message(self, *arguments: object) -> None:
            """Logs nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    if tls is not None:
        server.socket = tls.wrap_socket(server.socket, server_side=True)
    received.url = f"{'http' if tls is None else 'https'}://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield received
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _decompressed(body: bytes, encoding: str) -> bytes:
    if encoding == "gzip":
        return gzip.decompress(body)
    return zlib.decompress(body) if encoding == "deflate" else body


def accept(request: BaseHTTPRequestHandler) -> None:
    answer_with(200, ExportTraceServiceResponse().SerializeToString())(request)


def answer_with(status: int, body: bytes = b"", **headers: str) -> Answer:
    """Answers each request with a status."""

    def answer(request: BaseHTTPRequestHandler) -> None:
        request.send_response(status)
        for name, value in headers.items():
            request.send_header(name.replace("_", "-"), value)
        request.send_header("content-type", "application/x-protobuf")
        request.send_header("content-length", str(len(body)))
        request.end_headers()
        request.wfile.write(body)

    return answer


def hang(request: BaseHTTPRequestHandler) -> None:
    """Never answers. Ends when the client closes the connection."""
    request.connection.settimeout(60)
    request.connection.recv(1)
    request.close_connection = True


def send_slowly(request: BaseHTTPRequestHandler) -> None:
    """One byte of the body every 50 ms, without an end."""
    request.send_response(200)
    request.send_header("content-length", str(10**9))
    request.end_headers()
    while True:
        request.wfile.write(b"x")
        time.sleep(0.05)  # the test is about a slow receiver


def send_much(request: BaseHTTPRequestHandler) -> None:
    """A body of 4 GiB, as fast as the client reads."""
    request.send_response(200)
    request.send_header("content-length", str(4 * 1024**3))
    request.end_headers()
    for _ in range(4096):
        request.wfile.write(b"x" * 1024**2)


def rejecting(spans: int) -> Answer:
    """Says that so many spans of each request were not stored."""
    response = ExportTraceServiceResponse()
    response.partial_success.rejected_spans = spans
    return answer_with(200, response.SerializeToString())


def closed_port() -> int:
    """A port on which nothing listens."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def spans_in(body: bytes) -> Iterator[ReceivedSpan]:
    """The spans of a request."""
    for resource_spans in ExportTraceServiceRequest.FromString(body).resource_spans:
        resource = _attributes(resource_spans.resource.attributes)
        for scoped in resource_spans.scope_spans:
            scope = (scoped.scope.name, scoped.scope.version, scoped.schema_url)
            for span in scoped.spans:
                yield _span(span, resource, scope)


def _span(span: Span, resource: Mapping[str, Any], scope: tuple[str, str, str]) -> ReceivedSpan:
    return ReceivedSpan(
        trace_id=span.trace_id.hex(),
        span_id=span.span_id.hex(),
        parent_id=span.parent_span_id.hex(),
        name=span.name,
        kind=Span.SpanKind.Name(span.kind).removeprefix("SPAN_KIND_").lower(),
        started_ns=span.start_time_unix_nano,
        ended_ns=span.end_time_unix_nano,
        attributes=_attributes(span.attributes),
        state=span.trace_state,
        links=tuple((each.trace_id.hex(), each.span_id.hex()) for each in span.links),
        is_error=span.status.code == span.status.STATUS_CODE_ERROR,
        resource=resource,
        scope=scope,
    )


def _attributes(pairs: Any) -> dict[str, Any]:
    return {pair.key: _value(pair.value) for pair in pairs if isinstance(pair, KeyValue)}


def _value(value: AnyValue) -> Any:
    kind = value.WhichOneof("value")
    if kind == "array_value":
        return [_value(each) for each in value.array_value.values]
    return None if kind is None else getattr(value, kind)
