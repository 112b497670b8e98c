"""The encoder says the same as OpenTelemetry's SDK, for any span."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.resources import Resource

from slipway.otlp.queued_span import OwnSpan
from slipway.otlp.span_encoder import SpanEncoder
from slipway.telemetry.span import Span, SpanKind
from slipway.telemetry.table.whole_table import SPAN_TYPES
from slipway.telemetry.trace_context import TraceContext
from slipway.tracing.run_trace import RunTrace
from slipway.tracing.traced_run import TracedRun
from tests.otlp.sdk_encoding import encoded_by_the_sdk

RESOURCE = Resource({"service.name": "test", "numbers": (1, 2)}, "https://example.test/schema")
ENCODER = SpanEncoder(RESOURCE)

ids = st.integers(1, (1 << 64) - 1).map(lambda number: f"{number:016x}")
traces = st.integers(1, (1 << 128) - 1).map(lambda number: f"{number:032x}")
contexts = st.builds(TraceContext, traces, ids, st.just(True), st.sampled_from(["", "ot=th:8", "a=1,b=2"]))
texts = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=40)
values = st.one_of(texts, st.booleans(), st.integers(-(1 << 63) + 1, (1 << 63) - 1), st.floats(allow_nan=False))
kinds_of_runs = st.sampled_from([kind for kind in SpanKind if kind is not SpanKind.REQUEST])
times = st.integers(0, 1 << 53)
runs = st.builds(
    TracedRun,
    st.builds(RunTrace, contexts, link=st.none() | contexts),
    run_id=texts,
    thread_id=texts,
    assistant_id=texts,
    graph_id=texts,
    version=st.none() | texts,
    attempt=st.integers(1, 9),
    created_us=times,
)


@st.composite
def spans(draw: st.DrawFn, kinds: st.SearchStrategy[SpanKind] = kinds_of_runs) -> Span:
    kind = draw(kinds)
    names = st.sampled_from([each.name for each in SPAN_TYPES[kind].attributes] or ["other"]) | st.just("other")
    return Span(
        draw(ids),
        draw(ids | st.just("")),
        kind,
        draw(texts),
        draw(times),
        draw(st.none() | times),
        draw(st.just("") | texts),
        draw(st.dictionaries(names, values, max_size=6)),
    )


def decoded(body: bytes) -> list[tuple[Any, ...]]:
    """What a request says. The order of attributes means nothing; the lowest flag is checked by itself."""
    found = []
    for process in ExportTraceServiceRequest.FromString(body).resource_spans:
        for scope in process.scope_spans:
            for span in scope.spans:
                attributes = sorted((pair.key, pair.value.SerializeToString()) for pair in span.attributes)
                del span.attributes[:]
                span.flags &= ~1
                for link in span.links:
                    link.flags &= ~1
                if not span.status.code:
                    span.ClearField("status")
                own = span.SerializeToString(deterministic=True)
                of_process = process.resource.SerializeToString(), process.schema_url
                found.append((of_process, scope.scope.SerializeToString(), scope.schema_url, attributes, own))
    return found


queued = st.tuples(runs, spans()) | st.tuples(traces, spans(st.just(SpanKind.REQUEST)))


@given(st.lists(queued, min_size=1, max_size=3))
@settings(max_examples=30, deadline=None)
def test_a_batch_says_what_the_sdk_says_of_each_span(batch: list[OwnSpan]) -> None:
    encoded = ENCODER.encode(batch)
    assert (encoded.failed_spans, encoded.problem) == (0, "")
    assert decoded(encoded.body) == [
        each for run, span in batch for each in decoded(encoded_by_the_sdk(run, span, RESOURCE))
    ]


@given(runs, st.lists(spans(), min_size=2, max_size=3))
@settings(max_examples=15, deadline=None)
def test_spans_of_one_run_say_the_same_together_as_alone(run: TracedRun, of_run: list[Span]) -> None:
    together = decoded(ENCODER.encode([(run, span) for span in of_run]).body)
    assert together == [each for span in of_run for each in decoded(ENCODER.encode([(run, span)]).body)]


@pytest.mark.parametrize("kind", SpanKind)
def test_a_batch_has_one_process_and_one_scope(kind: SpanKind) -> None:
    trace = "4bf92f3577b34da6a3ce929d0e0e4736"
    batch = [(trace, Span(f"{number:016x}", "", kind, "draft", 1, 2)) for number in range(1, 4)]
    request = ExportTraceServiceRequest.FromString(ENCODER.encode(batch).body)
    (process,) = request.resource_spans
    (scope,) = process.scope_spans
    assert [span.trace_id.hex() for span in scope.spans] == [trace] * 3
    assert {span.flags & 0xFF for span in scope.spans} == {1}
    assert not any("{" in span.name for span in scope.spans)
