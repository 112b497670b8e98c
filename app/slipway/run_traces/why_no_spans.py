"""Says why a trace has no spans of the attempts of a run."""

from __future__ import annotations

from slipway.runs.record import Run
from slipway.settings import Settings
from slipway.tracing.stored_traces import StoredTrace


def why_no_spans(run: Run, stored: StoredTrace, settings: Settings, now_us: int) -> str | None:
    """A sentence with the setting that decides it. None if there are spans, or if no attempt has started."""
    if stored.spans or run.attempt == 0:
        return None
    if run.trace is None:
        return "Nothing was traced when the run was created: SLIPWAY_TRACES was off, or an earlier release created it."
    if not run.trace.kept:
        exported = ", only exported" if run.trace.context.sampled else ""
        why = "SLIPWAY_TRACES was off, or SLIPWAY_TRACE_SAMPLE_RATIO left it out"
        return f"The spans of this run were not kept{exported}: {why}."
    if not run.trace_bytes:
        if stored.left_out:
            return "No span fits into SLIPWAY_TRACE_RUN_MAX_BYTES."
        return "Its attempt has stored no span yet." if not run.final else "Its attempts have stored no spans."
    if run.updated_us + settings.trace_retention_s * 1_000_000 <= now_us:
        after = _days(settings.trace_retention_s)
        return f"Its spans were deleted {after} after they were stored (SLIPWAY_TRACE_RETENTION_S)."
    return (
        "Its spans were deleted because those of all runs had more bytes than SLIPWAY_TRACE_MAX_BYTES: the oldest go "
        "first."
    )


def _days(seconds: float) -> str:
    days = seconds / 86400
    return f"{days:g} days" if days >= 1 else f"{seconds:g} s"
