"""What the recorders of a process have in common."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from slipway.telemetry.current_trace import FindTrace
from slipway.tracing.sink import SpanSink


@dataclass(frozen=True, slots=True)
class TraceRecording:
    """`sink` receives the spans of sampled runs; None: nothing is exported. `enter_trace` makes the trace of a run that
    of the spans which the project's code makes in the current task; it is called with a function that finds the root
    span of the run."""

    max_run_bytes: int = 64 * 1024
    """The most bytes that the stored spans of one run have."""
    content: bool = False
    """Whether inputs and outputs are recorded."""
    sink: SpanSink | None = None
    enter_trace: Callable[[FindTrace], None] | None = None


NOT_EXPORTED: Final = TraceRecording()
"""Spans are stored only."""
