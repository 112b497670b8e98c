"""The trace context of the code that executes: that of the request which it answers, or of the run that it executes."""

from __future__ import annotations

from collections.abc import Callable
from contextvars import ContextVar
from typing import Final

from slipway.telemetry.trace_context import TraceContext

FindTrace = Callable[[], TraceContext | None]
"""Finds the context when somebody needs it, which is seldom while a run executes."""

CURRENT_TRACE: Final[ContextVar[FindTrace]] = ContextVar("current_trace", default=lambda: None)
"""A run that is created here continues the trace that this finds. None: it begins a new one. Tasks and threads inherit
it."""
