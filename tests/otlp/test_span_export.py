"""Spans reach a receiver with their declared names; a receiver that fails costs spans, and nothing else."""

from __future__ import annotations

import os
import resource
import ssl
import threading
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from email.utils import format_datetime
from functools import partial
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest
import requests
from opentelemetry import context
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from structlog.testing import capture_logs

from slipway.otlp.global_provider import ProcessResource
from slipway.otlp.queued_span import QueuedSpan
from slipway.otlp.span_export import CLOSE_WITHIN_S, REQUEST_BYTES, SpanExport
from slipway.otlp.variables import exporter_variables
from slipway.telemetry.span import Attribute, Span, SpanKind
from slipway.telemetry.trace_context import TraceContext
from slipway.tracing.run_trace import RunTrace
from slipway.tracing.traced_run import TracedRun
from tests.certificates import self_signed
from tests.otlp import receiver
from tests.otlp.receiver import Answer, Received, receiving
from tests.waiting import wait_until

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
PROCESS = ProcessResource.of(Resource({"service.name": "test"}))
LINKED = TraceContext("0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331", sampled=True)
RUN = TracedRun(
    RunTrace(TraceContext(TRACE, "b9c7c989f97918e1", sampled=True), link=LINKED),
    run_id="r1",
    thread_id="t1",
    assistant_id="a1",
    graph_id="g1",
    version=None,
    attempt=1,
    created_us=0,
)


@asynccontextmanager
async def exporting(url: str, **variables: str) -> AsyncIterator[SpanExport]:
    """The export to a receiver. Spans wait at most 20 ms."""
    environment = {"OTEL_EXPORTER_OTLP_ENDPOINT": url, "OTEL_BSP_SCHEDULE_DELAY": "20", **variables}
    found = exporter_variables(environment)
    assert found is not None
    export = SpanExport(found, PROCESS)
    try:
        yield export
    finally:
        await export.close()


def span(number: int = 1, kind: SpanKind = SpanKind.NODE, **attributes: Attribute) -> QueuedSpan:
    return RUN, Span(f"{number:016x}", "", kind, "draft", 1_000, 3_500, attributes=attributes)


def has_sent(export: SpanExport, spans: int) -> bool:
    return export.sent == spans


@pytest.fixture
def received() -> Iterator[Received]:
    with receiving() as received:
        yield received


async def test_a_span_arrives_as_it_is_declared(received: Received) -> None:
    made = Span(
        "00f067aa0ba902b7",
        "00f067aa0ba902b8",
        SpanKind.MODEL,
        "gpt-5",
        1_000,
        3_500,
        error="RateLimitError",
        attributes={"provider": "openai", "model": "gpt-5", "tokens_in": 7, "cost_nano": 1_500_000, "unknown": 1},
    )
    async with exporting(received.url) as export:
        export.add((RUN, made))
        await wait_until(lambda: received.spans)
    (got,) = received.spans
    assert (got.trace_id, got.span_id, got.parent_id) == (TRACE, "00f067aa0ba902b7", "00f067aa0ba902b8")
    assert (got.name, got.kind, got.started_ns, got.ended_ns) == ("chat gpt-5", "client", 1_000_000, 3_500_000)
    assert got.attributes == {
        "slipway.run.id": "r1",
        "gen_ai.conversation.id": "t1",
        "gen_ai.agent.name": "g1",
        "slipway.assistant.id": "a1",
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "openai",
        "gen_ai.request.model": "gpt-5",
        "gen_ai.usage.input_tokens": 7,
        "slipway.cost": 0.0015,
        "error.type": "RateLimitError",
    }
    assert got.is_error
    assert got.resource == {"service.name": "test"}
    assert got.scope[0] == "slipway"
    assert got.scope[2] == "https://opentelemetry.io/schemas/gen-ai/0.1.0"
    assert received.requests[0][":path"] == "/v1/traces"
    assert received.requests[0]["content-type"] == "application/x-protobuf"


async def test_headers_and_compression_are_sent(received: Received) -> None:
    variables = {"OTEL_EXPORTER_OTLP_HEADERS": "api-key=abc%20d", "OTEL_EXPORTER_OTLP_COMPRESSION": "gzip"}
    async with exporting(received.url, **variables) as export:
        export.add(span())
        await wait_until(lambda: received.spans)
    assert received.requests[0]["api-key"] == "abc d"
    assert received.requests[0]["content-encoding"] == "gzip"


@pytest.mark.parametrize("has_key_file", [False, True])
async def test_both_sides_show_certificates(
    tmp_path: Path, has_key_file: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also if the environment names other authorities for all HTTP requests of the process."""
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(self_signed(tmp_path).file.rename(tmp_path / "other.pem")))
    file = self_signed(tmp_path).file
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=str(file))
    tls.load_cert_chain(file)
    tls.verify_mode = ssl.CERT_REQUIRED
    names = ["CERTIFICATE", "CLIENT_CERTIFICATE", *(["CLIENT_KEY"] if has_key_file else [])]
    with receiving(tls=tls) as received:
        async with exporting(received.url, **{f"OTEL_EXPORTER_OTLP_{name}": str(file) for name in names}) as export:
            export.add(span())
            await wait_until(lambda: export.sent)
    assert received.spans


async def test_a_receiver_with_an_unknown_certificate_gets_nothing(tmp_path: Path) -> None:
    with receiving(tls=self_signed(tmp_path).server()) as received, capture_logs() as lines:
        async with exporting(received.url, OTEL_EXPORTER_OTLP_TIMEOUT="0.5") as export:
            export.add(span())
            await wait_until(lambda: export.dropped)
    assert (received.spans, received.requests) == ([], [])
    assert [(line["event"], line["problem"]) for line in lines] == [("spans.dropped", "SSLError")]


async def test_a_large_batch_is_sent_as_several_requests(received: Received) -> None:
    text = "x" * (REQUEST_BYTES // 5)
    limits = {"OTEL_BSP_SCHEDULE_DELAY": "60000", "OTEL_BSP_MAX_EXPORT_BATCH_SIZE": "8"}
    async with exporting(received.url, **limits) as export:
        for number in range(1, 9):
            export.add((RUN, Span(f"{number:016x}", "", SpanKind.TOOL, "search", 1, 2, attributes={"input": text})))
        await wait_until(partial(has_sent, export, 8))
    assert (export.dropped, len(received.requests)) == (0, 2)
    assert all(len(body) <= REQUEST_BYTES for body in received.raw)


async def test_a_span_that_is_larger_than_a_request_is_dropped(received: Received) -> None:
    large = Span("1" * 16, "", SpanKind.TOOL, "search", 1, 2, attributes={"input": "x" * (REQUEST_BYTES + 1)})
    with capture_logs() as lines:
        async with exporting(received.url) as export:
            export.add((RUN, large))
            export.add(span())
            await wait_until(lambda: export.sent)
    assert (export.sent, export.dropped, len(received.spans)) == (1, 1, 1)
    assert [(line["event"], line["problem"]) for line in lines] == [("spans.dropped", "the span is too large")]


async def test_texts_are_cut_at_the_limit_of_attributes(received: Received) -> None:
    made = Span("1" * 16, "", SpanKind.TOOL, "search", 1, 2, "GraphRecursionError", {"tool": "search_everything"})
    async with exporting(received.url, OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT="5") as export:
        export.add((RUN, made))
        await wait_until(lambda: received.spans)
    attributes = received.spans[0].attributes
    assert (attributes["gen_ai.tool.name"], attributes["error.type"]) == ("searc", "Graph")


async def test_spans_of_the_project_are_sent_with_those_of_slipway(received: Received) -> None:
    async with exporting(received.url) as export:
        provider = TracerProvider(resource=PROCESS)
        with provider.get_tracer("project").start_as_current_span("query") as made:
            made.set_attribute("rows", 3)
        assert isinstance(made, ReadableSpan)
        export.add(made)
        export.add(span())
        await wait_until(lambda: len(received.spans) == 2)
    assert len(received.requests) == 1
    query = received.named("query")
    assert (query.attributes, query.scope[0], query.resource) == ({"rows": 3}, "project", {"service.name": "test"})
    assert received.named("node draft").scope[0] == "slipway"


async def test_a_span_that_cannot_be_encoded_costs_itself_only(received: Received) -> None:
    with capture_logs() as lines:
        async with exporting(received.url) as export:
            export.add(span())
            export.add((RUN, Span("not hexadecimal", "", SpanKind.NODE, "draft", 1, 2)))
            export.add(span(2))
            await wait_until(lambda: export.sent)
    assert (export.sent, export.dropped, len(received.spans)) == (2, 1, 2)
    assert [(line["event"], line["problem"]) for line in lines] == [("spans.dropped", "ValueError")]


async def test_values_that_no_other_program_could_read(received: Received) -> None:
    """Half of a character of UTF-16, and an integer of more than 64 bits."""
    made = Span("1" * 16, "", SpanKind.MODEL, "a\ud800", 1, 2, "b\ud800", {"model": "\ud800", "tokens_in": 1 << 70})
    async with exporting(received.url) as export:
        export.add((RUN, made))
        await wait_until(lambda: received.spans)
    (got,) = received.spans
    assert (got.name, got.attributes["error.type"], got.attributes["gen_ai.request.model"]) == ("chat a?", "b?", "?")
    assert got.attributes["gen_ai.usage.input_tokens"] == (1 << 63) - 1


async def test_closing_sends_what_waits(received: Received) -> None:
    async with exporting(received.url, OTEL_BSP_SCHEDULE_DELAY="60000") as export:
        for number in range(1, 1200):
            export.add(span(number))
    assert len(received.spans) == 1199
    assert (export.sent, export.dropped) == (1199, 0)


async def test_a_full_queue_drops_spans_and_counts_them() -> None:
    limits = {"OTEL_BSP_MAX_QUEUE_SIZE": "50", "OTEL_BSP_MAX_EXPORT_BATCH_SIZE": "10"}
    with receiving(receiver.hang) as received, capture_logs() as lines:
        async with exporting(received.url, **limits) as export:
            export.add(span())
            await wait_until(lambda: received.requests)
            started = time.perf_counter()
            for number in range(2, 1002):
                export.add(span(number))
            assert time.perf_counter() - started < 1
            assert export.dropped == 950
        assert export.dropped == 1001
    assert [(line["event"], line["spans"]) for line in lines] == [("spans.dropped", 1001)]


@pytest.mark.parametrize(
    ("answer", "problem"),
    [
        (receiver.answer_with(500), "HTTP 500"),
        (receiver.answer_with(429, retry_after="3600"), "HTTP 429"),
        (receiver.answer_with(302, location="http://192.0.2.1/"), "HTTP 302"),
        (receiver.answer_with(401), "HTTP 401"),
        (receiver.rejecting(1), "the receiver rejected them"),
    ],
)
async def test_spans_that_the_receiver_does_not_accept_are_counted(answer: Answer, problem: str) -> None:
    with receiving(answer) as received, capture_logs() as lines:
        async with exporting(received.url) as export:
            export.add(span())
            await wait_until(lambda: export.dropped)
    assert (export.dropped, export.sent) == (1, 0)
    assert [(line["event"], line["problem"]) for line in lines] == [("spans.dropped", problem)]


async def test_a_receiver_that_is_not_there_costs_its_spans_only() -> None:
    with capture_logs() as lines:
        async with exporting(f"http://127.0.0.1:{receiver.closed_port()}", OTEL_EXPORTER_OTLP_TIMEOUT="0.5") as export:
            export.add(span())
            await wait_until(lambda: export.dropped)
    assert [(line["event"], line["problem"]) for line in lines] == [("spans.dropped", "ConnectionError")]


async def test_what_the_receiver_has_not_accepted_when_the_process_ends_is_no_full_queue() -> None:
    with receiving(receiver.hang) as received, capture_logs() as lines:
        async with exporting(received.url) as export:
            export.add(span())
            await wait_until(lambda: received.requests)
            export.add(span(2))
    assert [(line["spans"], line["problem"]) for line in lines] == [
        (2, "the process ended before the receiver had them")
    ]


@pytest.mark.parametrize("answer", [receiver.hang, receiver.send_slowly, receiver.answer_with(503, retry_after="8")])
async def test_closing_never_waits_long(answer: Answer) -> None:
    with receiving(answer) as received:
        async with exporting(received.url) as export:
            export.add(span())
            await wait_until(lambda: received.requests)
            started = time.perf_counter()
            await export.close()
            assert time.perf_counter() - started < CLOSE_WITHIN_S + 0.5


async def test_a_response_without_end_is_not_read() -> None:
    before_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with receiving(receiver.send_much) as received:
        async with exporting(received.url) as export:
            export.add(span())
            await wait_until(lambda: export.sent)
            export.add(span(2))
            await wait_until(lambda: export.sent == 2)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before_kib < 64 * 1024


async def test_a_slow_response_holds_nothing_up() -> None:
    with receiving(receiver.send_slowly) as received:
        async with exporting(received.url) as export:
            export.add(span())
            await wait_until(lambda: export.sent, within_s=10)


async def test_the_requests_of_the_exporter_are_not_instrumented(
    received: Received, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the key that `is_instrumentation_enabled` of OpenTelemetry's instrumentations reads."""
    sent, enabled = requests.Session.send, []

    def send(*arguments: Any, **options: Any) -> requests.Response:
        enabled.append(not context.get_value("suppress_instrumentation"))
        return sent(*arguments, **options)

    monkeypatch.setattr(requests.Session, "send", send)
    async with exporting(received.url) as export:
        export.add(span())
        await wait_until(lambda: received.spans)
    assert enabled == [False]


async def test_a_connection_that_the_receiver_has_closed_costs_nothing() -> None:
    """The receiver ends each connection after its response, without saying so."""

    def close(request: BaseHTTPRequestHandler) -> None:
        receiver.accept(request)
        request.close_connection = True

    with receiving(close) as received:
        async with exporting(received.url) as export:
            for number in range(1, 4):
                export.add(span(number))
                await wait_until(partial(has_sent, export, number))
    assert (export.sent, export.dropped) == (3, 0)


@pytest.mark.parametrize("status", [429, 502, 503, 504])
async def test_a_receiver_that_is_busy_gets_the_spans_later(status: int) -> None:
    def answer(request: BaseHTTPRequestHandler) -> None:
        is_first = len(busy.requests) == 1
        (receiver.answer_with(status, retry_after="0") if is_first else receiver.accept)(request)

    with receiving(answer) as busy:
        async with exporting(busy.url) as export:
            export.add(span())
            await wait_until(lambda: export.sent)
    assert (len(busy.requests), export.sent, export.dropped) == (2, 1, 0)


async def test_a_date_says_when_to_try_again() -> None:
    past = format_datetime(datetime(2020, 1, 1, tzinfo=UTC), usegmt=True)

    def answer(request: BaseHTTPRequestHandler) -> None:
        is_first = len(busy.requests) == 1
        (receiver.answer_with(503, retry_after=past) if is_first else receiver.accept)(request)

    with receiving(answer) as busy:
        async with exporting(busy.url) as export:
            export.add(span())
            await wait_until(lambda: export.sent)
    assert len(busy.requests) == 2


async def test_threads_that_end_spans_at_the_same_time_lose_none(received: Received) -> None:
    def add(first: int) -> None:
        for number in range(first, first + 400):
            export.add(span(number))

    async with exporting(received.url) as export:
        threads = [threading.Thread(target=add, args=(1 + 400 * number,)) for number in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert (export.sent, export.dropped) == (1600, 0)
    assert len({each.span_id for each in received.spans}) == 1600


async def test_a_process_that_the_project_forks_sends_its_own_spans_once(received: Received) -> None:
    async with exporting(received.url, OTEL_BSP_SCHEDULE_DELAY="300") as export:
        export.add(span(1))
        child = os.fork()
        if child == 0:
            export.add(span(2))
            for _ in range(1000):
                if export.sent:
                    break
                time.sleep(0.01)  # a forked process polls: it has no event loop of its own
            os._exit(0)
        await wait_until(lambda: os.waitpid(child, os.WNOHANG)[0] == child)
    assert sorted(each.span_id for each in received.spans) == [f"{1:016x}", f"{2:016x}"]
