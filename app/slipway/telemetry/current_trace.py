"""The trace context of the code that executes: that of the request which it answers, or of the run that it executes."""

from __future__ import annotations

from contextvars import ContextVar
from typing import Final

from slipway.telemetry.trace_context import TraceContext

CURRENT_TRACE: Final[ContextVar[TraceContext | None]] = ContextVar("current_trace", default=None)
"""A run that is created here continues this trace. None: it begins a new one. Tasks and threads inherit it."""
