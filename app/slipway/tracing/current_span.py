"""The span of the code that executes."""

from __future__ import annotations

from contextvars import ContextVar
from typing import TYPE_CHECKING, Final

from slipway.telemetry.span import Attribute

if TYPE_CHECKING:
    from slipway.tracing.attempt_trace import OpenSpan

CURRENT_SPAN: Final[ContextVar[OpenSpan | None]] = ContextVar("current_span", default=None)
"""That of a tool, a node or an attempt. None where nothing is recorded. Tasks and threads inherit it."""


def add_to_current_span(**attributes: Attribute) -> None:
    """Adds attributes to the current span, if there is one."""
    span = CURRENT_SPAN.get()
    if span is not None:
        span.add(**attributes)
