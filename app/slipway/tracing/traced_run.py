"""The run to which spans belong."""

from __future__ import annotations

from typing import NamedTuple

from slipway.tracing.run_trace import RunTrace


class TracedRun(NamedTuple):
    """What spans of one attempt have in common."""

    trace: RunTrace
    run_id: str
    thread_id: str
    assistant_id: str
    graph_id: str
    version: str | None
    """The version of the graph on which the attempt executes."""
    attempt: int
    created_us: int
    """When the run was created, in µs since 1970; of a delayed run, when it was due."""

    @property
    def trace_id(self) -> str:
        """32 hexadecimal digits. All runs of a chain have the same one."""
        return self.trace.context.trace_id

    @property
    def root_id(self) -> str:
        """The span of the run itself, the parent of its attempts. 16 hexadecimal digits."""
        return self.trace.context.span_id
