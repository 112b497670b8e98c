"""The span of a call of a tool that the gateway executes."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress

from langgraph.errors import GraphBubbleUp

from slipway.exception_text import is_a
from slipway.telemetry.span import SpanKind
from slipway.tracing.content import content_of
from slipway.tracing.current_span import CURRENT_SPAN
from slipway.tracing.span_error import error_of


class ToolSpan:
    """Is the current span from when it is made until it has ended. Does nothing where nothing is recorded."""

    __slots__ = ("_span", "_token")

    def __init__(self, tool: str) -> None:
        around = CURRENT_SPAN.get()
        self._span = None if around is None else around.trace.start(SpanKind.TOOL, tool, around)
        if self._span is not None:
            self._span.add(tool=tool)
            self._token = CURRENT_SPAN.set(self._span)

    def ended(self, result: object) -> None:
        """The tool has returned this."""
        if self._span is not None:
            if self._span.trace.records_content:
                self._span.add_content("output", content_of(result))
            self._end("")

    def ended_by(self, error: BaseException) -> None:
        """The call has raised this. A call about which people are asked has not failed."""
        if self._span is not None:
            if is_a(error, GraphBubbleUp):
                self._span.add(interrupted=True)
                self._end("")
            else:
                self._end(error_of(error))

    def _end(self, error: str) -> None:
        assert self._span is not None
        with suppress(ValueError):  # a call that is abandoned ends elsewhere, in another context
            CURRENT_SPAN.reset(self._token)
        self._span.end(error)


def add_input(arguments: Callable[[], object]) -> None:
    """Adds the arguments to the current span, if inputs are recorded."""
    span = CURRENT_SPAN.get()
    if span is not None and span.kind is SpanKind.TOOL and span.trace.records_content:
        span.add_content("input", content_of(arguments()))
