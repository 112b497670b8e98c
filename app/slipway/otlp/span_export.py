"""Sends the spans of this process to the endpoint that the variables of OpenTelemetry name.

Spans wait in a bounded queue, and a thread of OpenTelemetry's library sends them. So nothing that executes ever waits
for the receiver. What does not fit into the queue, and what the receiver does not accept, is dropped and counted; the
log says so once a minute.
"""

from __future__ import annotations

import asyncio
import logging
import os
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from typing import Final

import structlog
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult

from slipway.otlp.variables import ExporterVariables

log = structlog.get_logger(__name__)

CLOSE_WITHIN_S: Final = 2.0
"""The longest time for the spans that wait when the process ends."""
REPORT_EVERY_S: Final = 60.0

_EXPORTER_LOG: Final = logging.getLogger("opentelemetry.exporter.otlp.proto.http.trace_exporter")
_sending: Final = threading.local()
"""`is_ours` is set in the thread that sends the spans of this module, while it does."""


def _is_not_ours(record: logging.LogRecord) -> bool:
    """The lines of the library about each request are left out: `spans.dropped` says the same once a minute."""
    return not getattr(_sending, "is_ours", False)


class _CountingExporter(SpanExporter):
    """Counts what leaves the queue, and what the receiver did not accept."""

    def __init__(self, variables: ExporterVariables) -> None:
        # imported here, because it takes a tenth of a second and most processes export nothing
        from opentelemetry.exporter.otlp.proto.http import Compression
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

        from slipway.otlp.bounded_session import BoundedSession

        self._session = BoundedSession()
        self._exporter = OTLPSpanExporter(
            endpoint=variables.endpoint,
            certificate_file=variables.certificate,
            client_key_file=variables.client_key,
            client_certificate_file=variables.client_certificate,
            headers=dict(variables.headers),
            timeout=variables.timeout_s,
            compression=Compression(variables.compression),
            session=self._session,
        )
        self.taken = 0
        """Spans that left the queue."""
        self.sent = 0
        """Spans that the receiver has accepted."""
        self.lost = 0
        """Spans that it did not accept."""
        self.problem = ""
        """Why, of the last ones."""

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        self.taken += len(spans)
        _sending.is_ours = True
        try:
            result = self._exporter.export(spans)
        finally:
            _sending.is_ours = False
        lost = len(spans)
        if result is SpanExportResult.SUCCESS:
            lost = min(self._session.rejected_spans, len(spans))
        self.sent, self.lost = self.sent + len(spans) - lost, self.lost + lost
        if lost:
            self.problem = self._session.problem or "the receiver rejected them"
        return result

    def shutdown(self) -> None:
        _sending.is_ours = True
        try:
            self._exporter.shutdown()  # type: ignore[no-untyped-call]
        finally:
            _sending.is_ours = False


class SpanExport:
    """The queue of one process and the thread that empties it. All methods may be called in any thread."""

    def __init__(self, variables: ExporterVariables) -> None:
        _EXPORTER_LOG.addFilter(_is_not_ours)
        limits = variables.batch
        self._exporter, self._queue_spans = _CountingExporter(variables), limits.queue_spans
        self._processor = BatchSpanProcessor(
            self._exporter,
            max_queue_size=limits.queue_spans,
            schedule_delay_millis=limits.delay_ms,
            max_export_batch_size=limits.batch_spans,
        )
        self._lock, self._pid = threading.Lock(), os.getpid()
        self._closed = False
        self._queued = 0
        self._overflow = 0
        self._reported = 0
        self._report_at = time.monotonic() + REPORT_EVERY_S

    def add(self, span: ReadableSpan) -> None:
        """Takes O(1) and never waits for the receiver. Drops the span if the queue is full."""
        with self._lock:
            if self._pid != os.getpid():
                self._begin_in_fork()
            has_room = not self._closed and self._queued - self._exporter.taken < self._queue_spans
            self._queued += has_room
            self._overflow += not has_room
        if has_room:
            self._processor.on_end(span)
        if time.monotonic() >= self._report_at:
            self._report()

    @property
    def sent(self) -> int:
        """How many spans the receiver has accepted."""
        return self._exporter.sent

    @property
    def dropped(self) -> int:
        """How many spans did not reach the receiver."""
        return self._overflow + self._exporter.lost

    async def close(self) -> None:
        """Sends what waits, for at most `CLOSE_WITHIN_S`; the rest is dropped. A repeated call does nothing."""
        if self._closed:
            return
        self._closed = True
        loop, ended = asyncio.get_running_loop(), asyncio.Event()

        def shut_down() -> None:
            self._processor.shutdown()  # type: ignore[no-untyped-call]
            with suppress(RuntimeError):  # the event loop is closed: nobody waits any more
                loop.call_soon_threadsafe(ended.set)

        # a daemon, so that the process does not wait for it at its exit
        threading.Thread(target=shut_down, name="slipway span export", daemon=True).start()
        try:
            await asyncio.wait_for(ended.wait(), CLOSE_WITHIN_S)
        except TimeoutError:
            self._exporter.shutdown()
            with self._lock:
                self._overflow += self._queued - self._exporter.sent - self._exporter.lost
        self._report()

    def _report(self) -> None:
        """Logs what was dropped since the last time."""
        with self._lock:
            self._report_at = time.monotonic() + REPORT_EVERY_S
            dropped, self._reported = self.dropped - self._reported, self.dropped
            problem = self._exporter.problem or "the queue is full"
        if dropped:
            log.warning("spans.dropped", spans=dropped, problem=problem, sent=self._exporter.sent)

    def _begin_in_fork(self) -> None:
        """The library empties the queue in a process that the project has forked; the parent sends what was in it."""
        self._pid, self._queued = os.getpid(), self._exporter.taken
