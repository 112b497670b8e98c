"""Spans reach a receiver with their declared names; a receiver that fails costs spans, and nothing else."""

from __future__ import annotations

import os
import resource
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import pytest
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan
from structlog.testing import capture_logs

from slipway.otlp.sdk_spans import RunAttributes, SdkSpans
from slipway.otlp.span_export import CLOSE_WITHIN_S, SpanExport
from slipway.otlp.variables import exporter_variables
from slipway.telemetry.span import Attribute, Span, SpanKind
from slipway.telemetry.trace_context import TraceContext
from tests.otlp import receiver
from tests.otlp.receiver import Answer, Received, receiving
from tests.waiting import wait_until

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
SPANS = SdkSpans(Resource({"service.name": "test"}))
RUN = RunAttributes(int(TRACE, 16), {"slipway.run.id": "r1"})


@asynccontextmanager
async def exporting(url: str, **variables: str) -> AsyncIterator[SpanExport]:
    """The export to a receiver. Spans wait at most 20 ms."""
    environment = {"OTEL_EXPORTER_OTLP_ENDPOINT": url, "OTEL_BSP_SCHEDULE_DELAY": "20", **variables}
    found = exporter_variables(environment)
    assert found is not None
    export = SpanExport(found)
    try:
        yield export
    finally:
        await export.close()


def span(number: int = 1, kind: SpanKind = SpanKind.NODE, **attributes: Attribute) -> ReadableSpan:
    return SPANS.span(RUN, Span(f"{number:016x}", "", kind, "draft", 1_000, 3_500, attributes=attributes))


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
    linked = TraceContext("0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331", sampled=True)
    async with exporting(received.url) as export:
        export.add(SPANS.span(RUN, made, [linked]))
        await wait_until(lambda: received.spans)
    (got,) = received.spans
    assert (got.trace_id, got.span_id, got.parent_id) == (TRACE, "00f067aa0ba902b7", "00f067aa0ba902b8")
    assert (got.name, got.kind, got.started_ns, got.ended_ns) == ("chat gpt-5", "client", 1_000_000, 3_500_000)
    assert got.attributes == {
        "slipway.run.id": "r1",
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "openai",
        "gen_ai.request.model": "gpt-5",
        "gen_ai.usage.input_tokens": 7,
        "slipway.cost": 0.0015,
        "error.type": "RateLimitError",
    }
    assert got.is_error
    assert got.links == ((linked.trace_id, linked.span_id),)
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


async def test_texts_are_cut_at_the_limit_of_attributes(received: Received) -> None:
    spans = SdkSpans(Resource({}), value_chars=5)
    made = Span("1" * 16, "", SpanKind.TOOL, "search", 1, 2, attributes={"tool": "search_everything"})
    async with exporting(received.url) as export:
        export.add(spans.span(RUN, made))
        await wait_until(lambda: received.spans)
    assert received.spans[0].attributes["gen_ai.tool.name"] == "searc"


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


def test_every_kind_of_span_can_be_exported() -> None:
    for kind in SpanKind:
        made = span(1, kind)
        assert "{" not in made.name
