"""A trace without spans says why, with the setting that decides it."""

from __future__ import annotations

from typing import Final

import pytest

from slipway.run_traces.why_no_spans import why_no_spans
from slipway.runs.record import Phase, Run
from slipway.settings import Settings
from slipway.telemetry.span import Span, SpanKind
from slipway.telemetry.trace_context import TraceContext
from slipway.tracing.run_trace import RunTrace
from slipway.tracing.stored_traces import NOT_STORED, StoredTrace
from tests.run_traces.records import run_of

DAY_US: Final = 86_400_000_000
CONTEXT: Final = TraceContext("a" * 32, "b" * 16, sampled=False)
NOT_KEPT: Final = RunTrace(CONTEXT).stored().encode()
KEPT: Final = RunTrace(CONTEXT, kept=True).stored().encode()
EXPORTED: Final = RunTrace(CONTEXT._replace(sampled=True)).stored().encode()
ENDED: Final = {"phase": Phase.COMPLETED, "attempt": 1}


@pytest.mark.parametrize(
    ("run", "now_us", "says"),
    [
        (run_of(**ENDED), 0, "Nothing was traced when the run was created: SLIPWAY_TRACES was off"),
        (run_of(**ENDED, stored_trace=NOT_KEPT), 0, "were not kept: SLIPWAY_TRACES was off, or SLIPWAY_TRACE_SAMPLE"),
        (run_of(**ENDED, stored_trace=EXPORTED), 0, "were not kept, only exported"),
        (
            run_of(**ENDED, stored_trace=KEPT, trace_bytes=9),
            8 * DAY_US,
            "deleted 7 days after they were stored (SLIPWAY_TRACE",
        ),
        (run_of(**ENDED, stored_trace=KEPT, trace_bytes=9), DAY_US, "had more bytes than SLIPWAY_TRACE_MAX_BYTES"),
        (run_of(**ENDED, stored_trace=KEPT), 0, "Its attempts have stored no spans."),
        (run_of(attempt=1, stored_trace=KEPT), 0, "Its attempt has stored no span yet."),
    ],
)
def test_a_trace_without_spans_says_why(run: Run, now_us: int, says: str) -> None:
    assert says in (why_no_spans(run, NOT_STORED, Settings(), now_us) or "")


def test_a_trace_with_spans_and_one_before_its_first_attempt_have_no_problem() -> None:
    assert why_no_spans(run_of(attempt=0), NOT_STORED, Settings(), 0) is None
    stored = StoredTrace((Span("a" * 16, "", SpanKind.ATTEMPT, "1", 0, 1),), 0)
    assert why_no_spans(run_of(attempt=1), stored, Settings(), 0) is None
