"""Where spans go besides Redis."""

from __future__ import annotations

from typing import Protocol

from slipway.telemetry.span import Span
from slipway.tracing.traced_run import TracedRun


class SpanSink(Protocol):
    """Receives the spans of sampled runs. There is one for each process."""

    def ended(self, run: TracedRun, span: Span) -> None:
        """A span has ended. Called once for each, in the thread that ended it, which may be the event loop or one of a
        tool: it must return at once, and must not raise. Neither the span nor its attributes change afterwards. A node
        that has started is not announced before it ends."""
