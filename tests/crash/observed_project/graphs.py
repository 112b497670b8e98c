"""A graph whose node makes a span, in a project that has set a tracer provider of its own if SPANS_FILE names a
file."""

from __future__ import annotations

import json
import operator
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, TypedDict

from langgraph.graph import START, StateGraph
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor, SpanExporter, SpanExportResult


class FileExporter(SpanExporter):
    """Appends each span to the file as a line of JSON."""

    def __init__(self, path: str) -> None:
        self._path = path

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        with Path(self._path).open("a") as file:
            for span in spans:
                file.write(span.to_json(indent=None) + "\n")
        return SpanExportResult.SUCCESS


if path := os.environ.get("SPANS_FILE"):
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(FileExporter(path)))
    trace.set_tracer_provider(provider)


class State(TypedDict, total=False):
    log: Annotated[list[str], operator.add]


async def observe(state: State) -> dict[str, Any]:
    with trace.get_tracer("project").start_as_current_span("in the node"):
        return {"log": [json.dumps(type(trace.get_tracer_provider()).__module__)]}


_builder = StateGraph(State)
_builder.add_node("observe", observe)
_builder.add_edge(START, "observe")
observed = _builder.compile()
