"""The recorder of one attempt at a run: its spans, from when they start until Redis has them.

It is on the path of each node, model and tool, so it does little: a span is a small object with a number, in a queue of
those that have changed since the last write group. No text is made before a group takes the queue (`part`). An id is a
random number for the attempt plus the number of the span.

Any thread may start and end spans; `part`, `last_part` and `close` are called in the event loop of the attempt.
"""

from __future__ import annotations

import itertools
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any, Final

import structlog

from slipway.exception_text import traceback_of
from slipway.serialization.at_rest import sealed
from slipway.serialization.places import trace_place
from slipway.telemetry.id_source import IDS
from slipway.telemetry.span import Attribute, Span, SpanKind
from slipway.telemetry.trace_context import TraceContext
from slipway.tracing.run_trace import RunTrace
from slipway.tracing.sink import SpanSink
from slipway.tracing.span_error import CANCELLED
from slipway.tracing.stored_form import KIND_CODES, NO_SPANS, SpanPart, packed_part, span_id, with_number
from slipway.tracing.traced_run import TracedRun

log = structlog.get_logger(__name__)

LONGEST_NAME: Final = 128
"""Characters of a name, an error and an attribute that are recorded, except content."""

_NUMBERS: Final = 20
"""Bits for the numbers of the spans of an attempt."""
_ID_BASES: Final = 1 << 63 - _NUMBERS
_CONTENT: Final = ("input", "output")
_LARGEST: Final = (1 << 63) - 1
"""A provider may report any number of tokens."""
_MOST_WAITING: Final = 4096
"""How many spans wait for the next write group at most. A superstep of an hour may make more."""
_BYTES_OF_LAST_PART: Final = 512
_BYTES_OF_PART: Final = 32
_BYTES_OF_SPAN: Final = 20
_BYTES_OF_END: Final = 20 + 64
"""With an error."""
_BYTES_OF_ATTRIBUTE: Final = 3
"""About how many bytes each needs, at most."""
_NOT_ENDED: Final = ("queued", "paused")
STOPPED: Final = "stopped"
"""The error of a span that had not ended when its attempt did."""

_ATTEMPT: Final = SpanKind.ATTEMPT
_SUPERSTEP: Final = SpanKind.SUPERSTEP
_NODE: Final = SpanKind.NODE
_NUMBER_OF_ATTEMPT: Final = 1
_UNKNOWN_STEP: Final = -2
"""Of a superstep of which no task has started. LangGraph's numbers begin with -1."""
_monotonic: Final = time.monotonic
_random: Final = IDS.random
_US: Final = 1_000_000


class OpenSpan:
    """A span that is being recorded."""

    __slots__ = (
        "attributes",
        "children_ended",
        "ended",
        "error",
        "is_queued",
        "kind",
        "name",
        "number",
        "parent",
        "started",
        "step",
        "stored",
        "supersteps",
        "trace",
    )

    def __init__(self, trace: AttemptTrace, kind: SpanKind, name: str, parent: int, started: float) -> None:
        """Starts a span, which `trace` then knows: it is open, and is stored with the next part. `name` can be stored,
        see `_text`. `parent` is the number of a span of the attempt. Times are those of `time.monotonic`, and 0 for
        what has not happened."""
        self.trace, self.kind, self.name, self.parent = trace, kind, name, parent
        self.started, self.ended, self.error = started, 0.0, ""
        self.attributes: dict[str, Attribute] = {}
        self.is_queued, self.stored = True, _NOT_STORED
        self.step, self.children_ended = _UNKNOWN_STEP, 0.0
        self.supersteps: dict[str, OpenSpan] | None = None
        """The current superstep of each graph that the code of this span executes, by checkpoint namespace."""
        self.number = number = next(trace.numbers)
        trace.open[number] = self
        if trace.is_stored:
            if len(trace.changed) < _MOST_WAITING:
                trace.changed.append(self)
            else:
                trace.leave_out(self)

    @property
    def context(self) -> TraceContext:
        """For whoever continues the trace from here."""
        run = self.trace.run_trace.context
        return TraceContext(run.trace_id, span_id(self.trace.id_base, self.number), run.sampled, run.state)

    def add(self, **attributes: Attribute) -> None:
        """Adds attributes. They are stored when the span ends."""
        for name, value in attributes.items():
            self.attributes[name] = _storable(value)

    def add_content(self, name: str, text: str) -> None:
        """Adds an attribute with inputs or outputs, which the caller has redacted and shortened."""
        self.attributes[name] = text

    def retried(self) -> None:
        """Counts that what the span measures was tried again."""
        self.attributes["retries"] = int(self.attributes.get("retries", 0)) + 1

    def end(self, error: str = "", **attributes: Attribute) -> None:
        """Ends the span now. A second call does nothing."""
        if self.ended:
            return
        if attributes:
            self.add(**attributes)
        if error:
            self.error = _text(error)
        self.trace.end_span(self, _monotonic())

    def as_span(self) -> Span:
        """The span, for those outside of Redis."""
        trace = self.trace
        parent_id = span_id(trace.id_base, self.parent) if self.parent else trace.run_trace.context.span_id
        started_us, ended_us = trace.us(self.started), trace.us(self.ended) if self.ended else None
        attributes = with_number(self.kind, self.name, dict(self.attributes))
        own_id = span_id(trace.id_base, self.number)
        return Span(own_id, parent_id, self.kind, self.name, started_us, ended_us, self.error, attributes)


_NOT_STORED: Final = 0
_STARTED: Final = 1
_ENDED: Final = 2
_LEFT_OUT: Final = 3


class AttemptTrace:
    """Records the attempt with the number `attempt` at a run. `describe` makes what its spans have in common, for the
    `sink`, which receives the spans when they end; None: nobody does. `max_bytes` is how many bytes the stored spans of
    the run may have, `stored_bytes` what they have already, by earlier attempts. A `temporary` run is deleted when it
    ends, so the spans of its end are not stored. `supersteps`: how many the chain had before."""

    __slots__ = (
        "_base",
        "_base_us",
        "_bytes",
        "_describe",
        "_is_closed",
        "_last",
        "_left_out",
        "_lock",
        "_max_bytes",
        "_reserved_bytes",
        "_run",
        "_run_id",
        "_sink",
        "_superstep",
        "_supersteps",
        "_temporary",
        "announced",
        "attempt",
        "changed",
        "id_base",
        "is_exported",
        "is_stored",
        "numbers",
        "open",
        "records_content",
        "redis_s",
        "run_trace",
        "stopped_by",
    )

    def __init__(
        self,
        trace: RunTrace,
        run_id: str,
        attempt: int,
        describe: Callable[[], TracedRun],
        *,
        worker: str,
        max_bytes: int = 65536,
        stored_bytes: int = 0,
        sink: SpanSink | None = None,
        temporary: bool = False,
        content: bool = False,
        supersteps: int = 0,
    ) -> None:
        self.run_trace, self._run_id, self._describe = trace, run_id, describe
        self._run: TracedRun | None = None
        self.records_content = content
        """Whether inputs and outputs are recorded."""
        self._sink, self._temporary = sink, temporary
        self.is_exported = sink is not None
        """Whether spans of the run are exported."""
        self.id_base = int(_random() * _ID_BASES) + 1 << _NUMBERS
        self.numbers = itertools.count(_NUMBER_OF_ATTEMPT)
        """The numbers of the next spans."""
        self._base, self._base_us = started, _ = _monotonic(), time.time_ns() // 1000
        """The same moment on both clocks."""
        self.is_stored = trace.kept
        """Whether spans of the run are stored in Redis."""
        self.changed: deque[OpenSpan] = deque()
        """What the next part has."""
        self.open: dict[int, OpenSpan] = {}
        """The spans that have not ended, by number, without that of the attempt."""
        self.announced: dict[str, OpenSpan] = {}
        """The spans of tasks that LangGraph is about to start, by task id. Whoever starts the code of one takes its
        span from here, and sets `started`; `node_started` makes the spans of others."""
        self._lock = threading.RLock()  # whoever starts a superstep may have to leave it out
        self._superstep: OpenSpan | None = None
        """The current superstep of the root graph."""
        self._supersteps = supersteps
        self._bytes, self._max_bytes = stored_bytes, max_bytes
        self._reserved_bytes = _BYTES_OF_LAST_PART
        """What is kept free for the ends of spans whose start is stored."""
        self._left_out = 0
        self._last: list[Sequence[Any]] | None = None
        self._is_closed = False
        self.redis_s = 0.0
        """How long the attempt has waited for Redis before its supersteps, in seconds."""
        self.stopped_by = ""
        """The code of the ceiling that has stopped the graph, for the nodes that it cancels. Empty: none has."""
        self.attempt = span = OpenSpan(self, _ATTEMPT, str(attempt), 0, started)
        """The span of the attempt itself, until `close`. Ends last."""
        span.attributes = {"number": attempt, "worker": _name(worker)}
        self.open.clear()

    @property
    def run(self) -> TracedRun:
        """What the spans of the attempt have in common."""
        if self._run is None:
            self._run = self._describe()
        return self._run

    # spans

    def us(self, at: float) -> int:
        """A time of `time.monotonic` in µs since 1970. The durations within an attempt do not depend on changes of the
        clock."""
        return self._base_us + int((at - self._base) * _US)

    def now_us(self) -> int:
        """µs since 1970."""
        return self.us(_monotonic())

    def start(self, kind: SpanKind, name: str, parent: OpenSpan | None = None) -> OpenSpan:
        """Starts a span now. Without a parent it belongs to the run itself."""
        return OpenSpan(self, kind, _text(name), 0 if parent is None else parent.number, _monotonic())

    def leave_out(self, span: OpenSpan) -> None:
        """Counts a span that is not stored, because too much is."""
        with self._lock:
            self._left_out += 1
        span.stored = _LEFT_OUT

    def end_span(self, span: OpenSpan, at: float) -> None:
        """Ends a span that has not ended, and the supersteps within it."""
        if span.supersteps is not None:
            for superstep in span.supersteps.values():
                if not superstep.ended:
                    self.end_span(superstep, superstep.children_ended or at)
        span.ended = at
        self.open.pop(span.number, None)
        if self._is_closed:  # a thread that a node has left behind
            return
        if self.is_stored and not span.is_queued:
            span.is_queued = True
            self.changed.append(span)
        if self._sink is not None:
            self._export(span.as_span())

    def export_also(self, span: Span) -> None:
        """Exports a span of the run that is not recorded, because its record says the same. Only for a run whose spans
        are exported: nobody should make a span for nothing."""
        self._export(span)

    def _export(self, span: Span) -> None:
        assert self._sink is not None
        try:
            self._sink.ended(self.run, span)
        except Exception as error:
            log.error("trace.not_exported", run=self._run_id, exception=traceback_of(error))

    # supersteps and nodes

    def superstep_started(self, number: int) -> None:
        """LangGraph is about to execute a superstep of the root graph: the `number`th of the chain."""
        if self._superstep is not None or self.announced:
            self.superstep_ended()
        self._supersteps = number
        self._superstep = OpenSpan(self, _SUPERSTEP, str(number), _NUMBER_OF_ATTEMPT, _monotonic())

    def task_announced(self, task_id: str, name: str) -> None:
        """LangGraph is about to start a task of the superstep that has started. What is written from now on says that
        it executes: a process that is killed leaves that behind."""
        superstep = self._superstep
        if superstep is not None:
            self.announced[task_id] = OpenSpan(self, _NODE, _name(name), superstep.number, superstep.started)

    def superstep_ended(self) -> None:
        """All tasks of the superstep of the root graph have ended. Those whose results an earlier attempt has stored
        were not executed."""
        if self.announced:
            self._forget_announced()
        superstep, self._superstep = self._superstep, None
        if superstep is not None and not superstep.ended:
            self.end_span(superstep, _monotonic())

    def _forget_announced(self) -> None:
        """Drops the spans of tasks that were not executed. Those whose start is stored are ended."""
        while self.announced:
            _, span = self.announced.popitem()
            self.open.pop(span.number, None)
            if span.stored == _STARTED:
                span.end(executed=False)
            else:
                span.stored = _LEFT_OUT

    def node_started(self, around: OpenSpan, name: str, *, step: int | None, namespace: str) -> OpenSpan:
        """The code of a node starts. `around` is the current span, `step` LangGraph's number of the superstep, or None
        for a task that a node has called (`@task`), and `namespace` the checkpoint namespace of the task."""
        parent = around if step is None else self._superstep_of(around, namespace.rpartition("|")[0], step)
        return self.start(_NODE, name, parent)

    def _superstep_of(self, around: OpenSpan, namespace: str, step: int) -> OpenSpan:
        is_of_root = around.number == _NUMBER_OF_ATTEMPT and not namespace
        with self._lock:
            if around.supersteps is None:
                around.supersteps = {}
            current = self._superstep if is_of_root else around.supersteps.get(namespace)
            if current is not None and not current.ended:
                if current.step in (step, _UNKNOWN_STEP):
                    current.step = step
                    return current
                self.end_span(current, current.children_ended or _monotonic())
            self._supersteps += is_of_root
            started = self.start(_SUPERSTEP, str(self._supersteps if is_of_root else step), around)
            started.step = step
            if is_of_root:
                self._superstep = started
            else:
                around.supersteps[namespace] = started
            return started

    def node_ended(self, span: OpenSpan, error: str = "") -> None:
        """Its code has returned, or raised. A superstep has the error of its first node that failed."""
        if error == CANCELLED:
            error = self.stopped_by or error
        if span.ended:
            return
        if error:
            span.error = _text(error)
        ended = _monotonic()
        self.end_span(span, ended)
        superstep = self.open.get(span.parent)
        if superstep is not None:
            superstep.children_ended = ended
            if error and superstep.kind is _SUPERSTEP and not superstep.error:
                superstep.error = span.error

    # what is stored

    def part(self) -> SpanPart:
        """What has changed since the last part, to be stored with a write group."""
        return self._stored(self._arrays()) if self.changed else NO_SPANS

    def last_part(self, phase: str, error: str) -> SpanPart:
        """Ends all spans, and returns what the script stores that ends the attempt: `phase` is that of the run
        afterwards. May be called again if that script has stored nothing."""
        if self.announced:
            self._forget_announced()
        if phase == CANCELLED:
            error = error or CANCELLED
        if self.open:
            self._stop_open(phase)
        attempt = self.attempt
        attempt.attributes["phase"], attempt.attributes["redis_s"] = phase, round(self.redis_s, 6)
        attempt.error, attempt.ended = error, _monotonic()
        if not self.is_stored or (self._temporary and phase not in _NOT_ENDED):
            return NO_SPANS
        if self._last is None:
            if attempt.is_queued:
                self.changed.remove(attempt)
            self._last = self._arrays()
        took_us = int((attempt.ended - self._base) * _US)
        if attempt.stored == _STARTED:
            array: Sequence[Any] = -_NUMBER_OF_ATTEMPT, 0, took_us, error, attempt.attributes
        else:
            array = _NUMBER_OF_ATTEMPT, KIND_CODES[_ATTEMPT], attempt.name, 0, 0, took_us, error, attempt.attributes
        return self._stored([*self._last, array])

    def _stop_open(self, phase: str) -> None:
        for span in list(self.open.values())[::-1]:
            of_superstep = CANCELLED if phase == CANCELLED and not span.error else ""
            span.end(of_superstep if span.kind is _SUPERSTEP else STOPPED)

    def close(self, error: str) -> None:
        """Nothing is recorded any more. `error` is why the attempt ended if its end is not stored: it has lost its
        run."""
        attempt = self.attempt
        if not attempt.ended:
            for span in list(self.open.values())[::-1]:
                span.end(error)
            attempt.error, attempt.ended = error, _monotonic()
        if self._sink is not None:
            self._export(attempt.as_span())
        self._is_closed = True
        # spans refer to their recorder: without these cycles, nothing of it waits for the garbage collector
        del self.attempt
        self._superstep = None
        for spans in (self.open, self.announced, self.changed):
            spans.clear()

    def _arrays(self) -> list[Sequence[Any]]:
        arrays: list[Sequence[Any]] = []
        changed, base = self.changed, self._base
        room = self._max_bytes - self._bytes - self._reserved_bytes - _BYTES_OF_PART
        while changed:
            span = changed.popleft()
            span.is_queued = False  # before `ended` is read: another thread ends the span in the other order
            before, ended = span.stored, span.ended
            more = 0 if ended else _BYTES_OF_END
            if before == _STARTED:
                if not ended:
                    continue
                room += _BYTES_OF_END
                self._reserved_bytes -= _BYTES_OF_END
            elif before != _NOT_STORED:
                continue
            size = _BYTES_OF_SPAN + len(span.name) + len(span.error) + more
            if span.attributes:
                size += _size_of_attributes(span, room - size)
            if size > room:
                if before == _NOT_STORED:
                    self.leave_out(span)
                    continue
                span.attributes, size = {}, _BYTES_OF_END
            room -= size
            start_us = int((span.started - base) * _US)
            if not ended:
                span.stored = _STARTED
                self._reserved_bytes += _BYTES_OF_END
                arrays.append((span.number, KIND_CODES[span.kind], span.name, span.parent, start_us))
                continue
            span.stored = _ENDED
            took_us = int((ended - base) * _US) - start_us  # rounded once: a span may not end after the one around it
            if before == _STARTED:
                array: Sequence[Any] = -span.number, start_us, took_us
            else:
                array = span.number, KIND_CODES[span.kind], span.name, span.parent, start_us, took_us
            if span.attributes:
                array = *array, span.error, span.attributes
            elif span.error:
                array = *array, span.error
            arrays.append(array)
        return arrays

    def _stored(self, arrays: Sequence[Sequence[Any]]) -> SpanPart:
        if not arrays:
            return NO_SPANS
        try:
            part = packed_part(self._base_us, self.id_base, self._left_out, arrays)
        except Exception as error:  # spans are never a reason to fail a run
            log.error("trace.not_stored", run=self._run_id, exception=traceback_of(error))
            return NO_SPANS
        stored = sealed(part, trace_place(self._run_id))
        self._bytes += len(stored)
        return stored, self._bytes


def _storable(value: Attribute) -> Attribute:
    if isinstance(value, str):
        return _text(value)
    return value if -_LARGEST <= value <= _LARGEST else _LARGEST


def _text(value: str) -> str:
    """The text without what cannot be stored, and not longer than a name may be."""
    if len(value) > LONGEST_NAME:
        value = value[:LONGEST_NAME]
    return value if value.isascii() else value.encode(errors="replace").decode()


_name = lru_cache(maxsize=256)(_text)
"""The same for names of workers and nodes, of which there are few."""


def _size_of_attributes(span: OpenSpan, room: int) -> int:
    """About how many bytes they need, rather more. Removes inputs and outputs if the span does not fit with them."""
    size = _size_of(span.attributes)
    if size > room and any(name in span.attributes for name in _CONTENT):
        span.attributes = {name: value for name, value in list(span.attributes.items()) if name not in _CONTENT}
        size = _size_of(span.attributes)
    return size


def _size_of(attributes: Mapping[str, Attribute]) -> int:
    size = 0
    for name, value in list(attributes.items()):  # another thread may add one meanwhile
        size += _BYTES_OF_ATTRIBUTE + len(name) + (len(value) * 2 if type(value) is str else 5)
    return size
