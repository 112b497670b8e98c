"""The spans of calls of models, and of tools that no gateway executes, from what LangChain's callbacks say."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final
from uuid import UUID

from langchain_core.messages import BaseMessage
from langchain_core.outputs import LLMResult

from slipway.accounting.metered_usage import ModelUsage
from slipway.metering.model_calls import ModelCall
from slipway.telemetry.provider_names import provider_name
from slipway.telemetry.span import SpanKind
from slipway.tracing.attempt_trace import OpenSpan
from slipway.tracing.content import content_of
from slipway.tracing.current_call import call_started
from slipway.tracing.current_span import CURRENT_SPAN
from slipway.tracing.span_error import error_of

_FALLBACK: Final = "model_fallback_from"
"""In the metadata of a call that a route makes because another model has failed (`model_routes/route_call.py`)."""
_MODEL_NAMES: Final = ("model_name", "model", "model_id")
_FINISH_REASONS: Final = ("finish_reason", "stop_reason", "done_reason")
_MOST_OPEN: Final = 10_000
"""Calls whose end LangChain never announces are forgotten then."""


class CallSpans:
    """The calls of one attempt that have not ended, by the id that LangChain gives to each. Used in any thread."""

    def __init__(self) -> None:
        self._open: dict[UUID, OpenSpan] = {}

    def model_started(
        self,
        call_id: UUID,
        call: ModelCall,
        metadata: Mapping[str, Any] | None,
        prompt: Sequence[BaseMessage] | str,
    ) -> None:
        """A model is about to be called."""
        span = self._started(call_id, SpanKind.MODEL, call.model)
        if span is None:
            return
        span.add(model=call.model)
        if isinstance(call.provider, str) and call.provider:  # the code of a node may have set it
            span.add(provider=provider_name(call.provider))
        if metadata and isinstance(failed := metadata.get(_FALLBACK), str):
            span.add(fallback_from=failed)
        if span.trace.records_content:
            span.add_content("input", content_of(prompt))

    def model_ended(self, call_id: UUID, response: LLMResult, used: ModelUsage | None) -> None:
        """The model has answered."""
        span = self._open.pop(call_id, None)
        if span is None:
            return
        if used is not None:
            span.add(tokens_in=used.input, tokens_out=used.output)
            if used.cached:
                span.add(tokens_cached=used.cached)
            if used.cost_nano:
                span.add(cost_nano=used.cost_nano)
        _add_response(span, response)
        span.end()

    def tool_started(self, call_id: UUID, tool: str, argument: Callable[[], object]) -> None:
        """A tool is about to be called that is not registered."""
        span = self._started(call_id, SpanKind.TOOL, tool)
        if span is not None:
            span.add(tool=tool)
            if span.trace.records_content:
                span.add_content("input", content_of(argument()))

    def tool_ended(self, call_id: UUID, output: object) -> None:
        span = self._open.pop(call_id, None)
        if span is not None:
            if span.trace.records_content:
                span.add_content("output", content_of(output))
            span.end()

    def failed(self, call_id: UUID, error: BaseException) -> None:
        """A call has raised."""
        span = self._open.pop(call_id, None)
        if span is not None:
            span.end(error_of(error))

    def refused(self, call_id: UUID, error: BaseException) -> None:
        """A call was not made."""
        span = self._open.pop(call_id, None)
        if span is not None:
            span.end(error_of(error), executed=False)

    def _started(self, call_id: UUID, kind: SpanKind, name: str) -> OpenSpan | None:
        around = CURRENT_SPAN.get()
        if around is None or len(self._open) >= _MOST_OPEN:
            return None
        span = self._open[call_id] = around.trace.start(kind, name, around)
        call_started(span, around)
        return span


def _add_response(span: OpenSpan, response: LLMResult) -> None:
    """What the first answer says about itself. The packages of providers use several names."""
    first = next((each for generations in response.generations for each in generations), None)
    message = getattr(first, "message", None)
    details = {**(getattr(first, "generation_info", None) or {}), **(getattr(message, "response_metadata", None) or {})}
    for attribute, names in (("responding_model", _MODEL_NAMES), ("finish_reason", _FINISH_REASONS)):
        found = next((value for name in names if isinstance(value := details.get(name), str) and value), None)
        if found is not None:
            span.add(**{attribute: found})
    if span.trace.records_content:
        span.add_content("output", content_of(message if message is not None else getattr(first, "text", "")))
