"""What the recorders of a process have in common."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from slipway.tracing.sink import SpanSink


@dataclass(frozen=True, slots=True)
class TraceRecording:
    """`sink` receives the spans of sampled runs; None: nothing is exported."""

    max_run_bytes: int = 64 * 1024
    """The most bytes that the stored spans of one run have."""
    content: bool = False
    """Whether inputs and outputs are recorded."""
    sink: SpanSink | None = None


NOT_EXPORTED: Final = TraceRecording()
"""Spans are stored only."""
