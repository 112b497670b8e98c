"""Starts the recorder of an attempt."""

from __future__ import annotations

from functools import partial

from slipway.runs.record import Run
from slipway.tracing.attempt_trace import AttemptTrace
from slipway.tracing.recording import TraceRecording
from slipway.tracing.run_trace import is_recorded
from slipway.tracing.traced_run import TracedRun


def attempt_trace(run: Run, recording: TraceRecording, worker: str) -> AttemptTrace | None:
    """The recorder of the current attempt of a run. None if nobody wants its spans."""
    if not is_recorded(run.stored_trace) or (trace := run.trace) is None:
        return None
    return AttemptTrace(
        trace,
        run.run_id,
        run.attempt,
        partial(traced_run, run),
        worker=worker,
        max_bytes=recording.max_run_bytes,
        stored_bytes=run.trace_bytes,
        sink=recording.sink if trace.context.sampled else None,
        temporary=run.options.temporary,
        content=recording.content,
        supersteps=run.usage.get("steps", 0),
    )


def traced_run(run: Run) -> TracedRun:
    """What the spans of a run have in common. The run must have a trace."""
    assert run.trace is not None
    return TracedRun(
        trace=run.trace,
        run_id=run.run_id,
        thread_id=run.thread_id,
        assistant_id=run.assistant_id,
        graph_id=run.graph_id,
        version=run.version,
        attempt=run.attempt,
        created_us=int(run.incarnation),
    )
