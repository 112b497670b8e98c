"""Exports the spans that nobody records while they last: of attempts whose process was killed, of waits, and of runs
that end without an attempt.

They are made from the records, as for reading a trace. So the spans of a killed process that it had not sent yet are
exported too, if they are stored. A span that the killed process had sent arrives twice, with the same id.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

import structlog

from slipway.exception_text import traceback_of
from slipway.run_traces.reading import RunTraces
from slipway.runs.attempt_spans import traced_run
from slipway.runs.record import Phase, Run
from slipway.telemetry.span import Span, SpanKind
from slipway.tracing.run_trace import is_exported
from slipway.tracing.sink import SpanSink
from slipway.tracing.stored_form import WORKER_DIED

log = structlog.get_logger(__name__)

_Selection = Callable[[Run, Sequence[Span]], Iterator[Span]]


class LateExport:
    """The late exports of one process, in tasks of their own: nothing waits for them."""

    def __init__(self, traces: RunTraces, sink: SpanSink) -> None:
        self._traces, self._sink = traces, sink
        self._tasks: set[asyncio.Task[None]] = set()

    def attempt_started(self, run: Run) -> None:
        """What ended when this process has claimed a run: the attempt before, if its process was killed, the wait for
        this attempt, and the waits for people who have answered."""
        if not is_exported(run.stored_trace):
            return
        if run.attempt > 1:
            self._start(run.run_id, lambda _, spans: _before_attempt(run.attempt, spans))
        elif run.resumes is not None:
            self._start(run.resumes, lambda _, spans: _approvals(spans))

    def run_reclaimed(self, run_id: str, attempt: int) -> None:
        """A run has failed because its process was killed and no attempts are left."""
        self._start(run_id, lambda run, spans: _of_ended_run(run, spans, attempt))

    def run_cancelled(self, run_id: str) -> None:
        """A run may have ended without an attempt."""
        self._start(run_id, lambda run, spans: _of_ended_run(run, spans, 0))

    async def close(self) -> None:
        """Waits for what has begun."""
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=1)

    def _start(self, run_id: str, select: _Selection) -> None:
        task = asyncio.create_task(self._export(run_id, select), name="late export")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _export(self, run_id: str, select: _Selection) -> None:
        try:
            found = await self._traces.spans_of(run_id)
            if found is None:
                return
            run, spans = found
            if (trace := run.trace) is None or not trace.context.sampled:
                return
            traced = traced_run(run)
            for span in select(run, spans):
                self._sink.ended(traced, span)
        except Exception as error:  # a trace is never a reason to fail
            log.error("trace.not_exported", run=run_id, exception=traceback_of(error))


def _before_attempt(number: int, spans: Sequence[Span]) -> Iterator[Span]:
    killed = list(_killed_attempt(number - 1, spans))
    yield from killed
    numbers = (number - 1, number) if killed else (number,)  # the killed process may not have sent its wait
    for span in spans:
        is_wait = span.kind is SpanKind.QUEUE and span.ended_us is not None
        if is_wait and (span.name != "queue" or span.attributes.get("number") in numbers):
            yield span


def _approvals(spans: Sequence[Span]) -> Iterator[Span]:
    return (span for span in spans if span.kind is SpanKind.APPROVAL and span.ended_us is not None)


def _of_ended_run(run: Run, spans: Sequence[Span], attempt: int) -> Iterator[Span]:
    """A run that waited for people has been exported when it began to wait."""
    if not run.final:
        return
    yield from _approvals(spans)
    yield from _killed_attempt(attempt, spans)
    if run.phase is Phase.FAILED or run.attempt == 0:
        parent_id = "" if run.trace is None else run.trace.parent_id  # without the request that is only derived
        yield from (replace(span, parent_id=parent_id) for span in spans if span.kind is SpanKind.RUN)
        yield from (span for span in spans if span.kind is SpanKind.QUEUE and span.ended_us and not run.attempt)


def _killed_attempt(number: int, spans: Sequence[Span]) -> Iterator[Span]:
    """The spans of an attempt, if its process was killed."""
    inside: set[str] = set()
    for span in sorted(spans, key=lambda span: span.started_us):
        is_it = span.kind is SpanKind.ATTEMPT and span.name == str(number) and span.error == WORKER_DIED
        if (is_it or span.parent_id in inside) and span.ended_us is not None:
            inside.add(span.span_id)
            yield span
