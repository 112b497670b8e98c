"""Sends the spans of this process to the endpoint that the variables of OpenTelemetry name.

Spans wait in a bounded queue, as they are: who ends a span only appends it. A thread encodes and sends them, a batch at
a time. So nothing that executes ever waits for the receiver. What does not fit into the queue, and what the receiver
does not accept, is dropped and counted; the log says so once a minute.
"""

from __future__ import annotations

import asyncio
import contextvars
import os
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Final

import structlog
from opentelemetry import context
from opentelemetry.sdk.resources import Resource

from slipway.otlp.queued_span import QueuedSpan
from slipway.otlp.variables import ExporterVariables

if TYPE_CHECKING:
    from slipway.otlp.span_sender import SpanSender

log = structlog.get_logger(__name__)

CLOSE_WITHIN_S: Final = 2.0
"""The longest time for the spans that wait when the process ends."""
REPORT_EVERY_S: Final = 60.0
REQUEST_BYTES: Final = 16 * 1024 * 1024
"""The most bytes of one request, before compression. A collector accepts 20 MiB if it is not configured otherwise."""

_NOT_INSTRUMENTED: Final = "suppress_instrumentation"
"""Instrumented HTTP clients make no spans where OpenTelemetry's context has this key. Spans of the requests that send
spans would never end."""


class SpanExport:
    """The queue of one process and the thread that empties it. All methods may be called in any thread."""

    def __init__(self, variables: ExporterVariables, resource: Resource) -> None:
        # imported here, because it takes a tenth of a second and most processes export nothing
        from slipway.otlp.span_encoder import SpanEncoder
        from slipway.otlp.span_sender import SpanSender

        self._limits, self._delay_s = variables.batch, variables.batch.delay_ms / 1000
        self._encoder = SpanEncoder(resource, variables.value_chars)
        self._new_sender = partial(SpanSender, variables)
        self._closed = False
        self._begin()
        begin = weakref.WeakMethod(self._begin)

        def begin_in_fork() -> None:
            if (method := begin()) is not None:
                method()

        os.register_at_fork(after_in_child=begin_in_fork)

    def _begin(self) -> None:
        """Nothing is queued or counted. A process that the project has forked begins anew: what was in the queue is
        sent by its parent, and the thread and the connections are those of the parent."""
        self._queue: deque[QueuedSpan] = deque()
        self._sender: SpanSender | None = None
        self._thread: threading.Thread | None = None
        self._lock, self._wake = threading.Lock(), threading.Event()
        self._on_end: Callable[[], None] = lambda: None
        self._in_flight = 0
        self._sent = 0
        self._dropped = 0
        self._reported = 0
        self._problem = ""
        self._gave_up = False
        self._report_at = time.monotonic() + REPORT_EVERY_S

    def add(self, span: QueuedSpan) -> None:
        """Takes O(1) and never waits for the receiver. Drops the span if the queue is full."""
        queue = self._queue
        count = len(queue) + 1
        if count > self._limits.queue_spans or self._closed:
            self._drop()
            return
        queue.append(span)
        if self._thread is None:
            self._start()
        if count >= self._limits.batch_spans and not self._wake.is_set():
            self._wake.set()

    @property
    def sent(self) -> int:
        """How many spans the receiver has accepted."""
        return self._sent

    @property
    def dropped(self) -> int:
        """How many spans did not reach the receiver."""
        return self._dropped

    async def close(self) -> None:
        """Sends what waits, for at most `CLOSE_WITHIN_S`; the rest is dropped. A repeated call does nothing."""
        if self._closed:
            return
        loop, ended = asyncio.get_running_loop(), asyncio.Event()

        def end() -> None:
            with suppress(RuntimeError):  # the event loop is closed: nobody waits any more
                loop.call_soon_threadsafe(ended.set)

        self._on_end, self._closed = end, True
        if self._thread is not None:
            self._wake.set()
            with suppress(TimeoutError):
                await asyncio.wait_for(ended.wait(), CLOSE_WITHIN_S)
        if self._sender is not None:
            self._sender.stop()
        with self._lock:
            self._gave_up = True
            if left := self._in_flight + len(self._queue):
                self._dropped += left
                self._problem = "the process ended before the receiver had them"
        self._report()

    def _start(self) -> None:
        with self._lock:
            if self._thread is None:
                # a daemon, so that the process does not wait for it at its exit
                self._thread = threading.Thread(target=self._run, name="slipway span export", daemon=True)
                self._thread.start()

    def _run(self) -> None:
        context.attach(context.set_value(_NOT_INSTRUMENTED, True, context.Context()))
        sender = self._sender = self._new_sender()
        try:
            while not self._closed:
                self._wake.wait(self._delay_s)
                self._wake.clear()
                self._send_batch(sender)
                while len(self._queue) >= self._limits.batch_spans and not self._gave_up:
                    self._send_batch(sender)
            while self._queue and not self._gave_up:
                self._send_batch(sender)
        finally:
            self._on_end()

    def _send_batch(self, sender: SpanSender) -> None:
        with self._lock:
            if self._gave_up:
                return
            batch = [self._queue.popleft() for _ in range(min(len(self._queue), self._limits.batch_spans))]
            self._in_flight = len(batch)
        if batch:
            lost, problem = self._lost_of(batch, sender)
            self._count(len(batch) - lost, lost, problem)

    def _lost_of(self, batch: Sequence[QueuedSpan], sender: SpanSender) -> tuple[int, str]:
        """Sends the batch. Returns how many of its spans did not arrive, and why."""
        try:
            encoded = self._encoder.encode(batch)
            if len(encoded.body) > REQUEST_BYTES:
                return self._lost_of_large(batch, sender)
            if not encoded.body:
                return encoded.failed_spans, encoded.problem
            reply = sender.send(encoded.body)
        except Exception as error:  # the thread has to go on
            return len(batch), type(error).__name__
        if reply.problem:
            return len(batch), reply.problem
        lost = min(encoded.failed_spans + reply.rejected_spans, len(batch))
        return lost, "the receiver rejected them" if reply.rejected_spans else encoded.problem

    def _lost_of_large(self, batch: Sequence[QueuedSpan], sender: SpanSender) -> tuple[int, str]:
        """The same, in two requests."""
        if len(batch) == 1:
            return 1, "the span is too large"
        middle = len(batch) // 2
        first, second = self._lost_of(batch[:middle], sender), self._lost_of(batch[middle:], sender)
        return first[0] + second[0], second[1] or first[1]

    def _count(self, sent: int, lost: int, problem: str) -> None:
        with self._lock:
            if self._gave_up:  # they were counted as dropped
                return
            self._in_flight = 0
            self._sent, self._dropped = self._sent + sent, self._dropped + lost
            self._problem = problem or self._problem
        if time.monotonic() >= self._report_at:
            self._report()

    def _drop(self) -> None:
        with self._lock:
            self._dropped += 1
        if time.monotonic() >= self._report_at:
            self._report()

    def _report(self) -> None:
        """Logs what was dropped since the last time."""
        with self._lock:
            self._report_at = time.monotonic() + REPORT_EVERY_S
            dropped, self._reported = self._dropped - self._reported, self._dropped
            problem, sent = self._problem or "the queue is full", self._sent
            self._problem = ""
        if dropped:
            # not with the fields of the work that has ended a span: they are of others
            contextvars.Context().run(_log_dropped, dropped, problem, sent)


def _log_dropped(spans: int, problem: str, sent: int) -> None:
    log.warning("spans.dropped", spans=spans, problem=problem, sent=sent)
