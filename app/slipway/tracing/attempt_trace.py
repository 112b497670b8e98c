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
from collections.abc import Sequence
from typing import Any, Final

import structlog

from slipway.exception_text import traceback_of
from slipway.serialization.at_rest import sealed
from slipway.serialization.places import trace_place
from slipway.telemetry.id_source import IDS
from slipway.telemetry.span import Attribute, Span, SpanKind
from slipway.telemetry.trace_context import TraceContext
from slipway.tracing.sink import SpanSink
from slipway.tracing.span_error import CANCELLED
from slipway.tracing.stored_form import KIND_CODES, NO_SPANS, SpanPart, packed_part, span_id, with_number
from slipway.tracing.traced_run import TracedRun

log = structlog.get_logger(__name__)

LONGEST_NAME: Final = 128
"""Characters of a name, an error and an attribute that are recorded, except content."""

_NUMBERS: Final = 20
"""Bits for the numbers of the spans of an attempt."""
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
_UNKNOWN_STEP: Final = -2
"""Of a superstep of which no task has started. LangGraph's numbers begin with -1."""
_monotonic_ns: Final = time.monotonic_ns


class OpenSpan:
    """A span that is being recorded."""

    __slots__ = (
        "attributes",
        "children_ended_us",
        "ended_us",
        "error",
        "is_queued",
        "kind",
        "name",
        "number",
        "parent",
        "started_us",
        "step",
        "stored",
        "supersteps",
        "trace",
    )

    def __init__(
        self, trace: AttemptTrace, kind: SpanKind, name: str, parent: int, number: int, started_us: int
    ) -> None:
        """`name` can be stored, see `_text`. `parent` and `number` are those of spans of the attempt."""
        self.trace, self.kind, self.name, self.parent = trace, kind, name, parent
        self.number, self.started_us, self.ended_us, self.error = number, started_us, 0, ""
        self.attributes: dict[str, Attribute] = {}
        self.is_queued, self.stored = True, _NOT_STORED
        self.step, self.children_ended_us = _UNKNOWN_STEP, 0
        self.supersteps: dict[str, OpenSpan] | None = None
        """The current superstep of each graph that the code of this span executes, by checkpoint namespace."""

    @property
    def context(self) -> TraceContext:
        """For whoever continues the trace from here."""
        run = self.trace.run
        return TraceContext(run.trace_id, span_id(self.trace.id_base, self.number), run.trace.context.sampled)

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

    def end(self, error: str = "", at_us: int = 0, **attributes: Attribute) -> None:
        """Ends the span now, or at a time before. A second call does nothing."""
        if self.ended_us:
            return
        if attributes:
            self.add(**attributes)
        if error:
            self.error = _text(error)
        if self.supersteps is not None:
            for superstep in self.supersteps.values():
                superstep.end(at_us=superstep.children_ended_us)
        self.trace.end_span(self, at_us)

    def as_span(self) -> Span:
        """The span, for those outside of Redis."""
        trace = self.trace
        parent_id = span_id(trace.id_base, self.parent) if self.parent else trace.run.root_id
        own_id = span_id(trace.id_base, self.number)
        attributes = with_number(self.kind, self.name, dict(self.attributes))
        return Span(
            own_id, parent_id, self.kind, self.name, self.started_us, self.ended_us or None, self.error, attributes
        )


_NOT_STORED: Final = 0
_STARTED: Final = 1
_ENDED: Final = 2
_LEFT_OUT: Final = 3


class AttemptTrace:
    """Records one attempt. `max_bytes` is how many bytes the stored spans of the run may have, `stored_bytes` what
    they have already, by earlier attempts. `sink` receives the spans when they end; None: nobody does. A `temporary`
    run is deleted when it ends, so the spans of its end are not stored. `supersteps`: how many the chain had before."""

    def __init__(
        self,
        run: TracedRun,
        *,
        worker: str,
        max_bytes: int = 65536,
        stored_bytes: int = 0,
        sink: SpanSink | None = None,
        temporary: bool = False,
        content: bool = False,
        supersteps: int = 0,
    ) -> None:
        self.run, self.records_content = run, content
        """`records_content`: whether inputs and outputs are recorded."""
        self._kept, self._sink, self._temporary = run.trace.kept, sink, temporary
        self._place = trace_place(run.run_id)
        self.id_base = IDS.getrandbits(64 - _NUMBERS - 1) + 1 << _NUMBERS
        self._numbers = itertools.count(2)
        self._base_us = started_us = time.time_ns() // 1000
        self._offset_us = started_us - _monotonic_ns() // 1000
        self._changed: deque[OpenSpan] = deque()
        self._open: dict[int, OpenSpan] = {}
        self._announced: dict[str, OpenSpan] = {}
        """The spans of tasks that LangGraph is about to start, by task id."""
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
        self.attempt = attempt = OpenSpan(self, _ATTEMPT, str(run.attempt), 0, 1, started_us)
        attempt.attributes = {"number": run.attempt, "worker": _text(worker)}
        self._open[1] = attempt
        if self._kept:
            self._changed.append(attempt)

    # spans

    def now_us(self) -> int:
        """µs since 1970. The durations within an attempt do not depend on changes of the clock."""
        return self._offset_us + _monotonic_ns() // 1000

    def start(self, kind: SpanKind, name: str, parent: OpenSpan | None = None) -> OpenSpan:
        """Starts a span now. Without a parent it belongs to the run itself."""
        return self._started(kind, _text(name), 0 if parent is None else parent.number, self.now_us())

    def _started(self, kind: SpanKind, name: str, parent: int, started_us: int) -> OpenSpan:
        span = OpenSpan(self, kind, name, parent, next(self._numbers), started_us)
        self._open[span.number] = span
        if self._kept:
            if len(self._changed) < _MOST_WAITING:
                self._changed.append(span)
            else:
                self._leave_out(span)
        return span

    def _leave_out(self, span: OpenSpan) -> None:
        with self._lock:
            self._left_out += 1
        span.stored = _LEFT_OUT

    def end_span(self, span: OpenSpan, at_us: int = 0) -> None:
        """Called by a span that has not ended, and ends now, or `at_us`."""
        span.ended_us = at_us or self._offset_us + _monotonic_ns() // 1000
        self._open.pop(span.number, None)
        if self._is_closed:  # a thread that a node has left behind
            return
        if self._kept and not span.is_queued:
            span.is_queued = True
            self._changed.append(span)
        if self._sink is not None and span is not self.attempt:
            self._export(span.as_span())

    @property
    def is_exported(self) -> bool:
        """Whether spans of the run are exported."""
        return self._sink is not None

    def export_also(self, span: Span) -> None:
        """Exports a span of the run that is not recorded, because its record says the same. Only for a run whose spans
        are exported: nobody should make a span for nothing."""
        self._export(span)

    def _export(self, span: Span) -> None:
        assert self._sink is not None
        try:
            self._sink.ended(self.run, span)
        except Exception as error:
            log.error("trace.not_exported", run=self.run.run_id, exception=traceback_of(error))

    # supersteps and nodes

    def superstep_started(self, number: int) -> None:
        """LangGraph is about to execute a superstep of the root graph: the `number`th of the chain."""
        self.superstep_ended()
        self._supersteps = number
        self._superstep = self._started(_SUPERSTEP, str(number), self.attempt.number, self.now_us())

    def task_announced(self, task_id: str, name: str) -> None:
        """LangGraph is about to start a task of the superstep that has started. What is written from now on says that
        it executes: a process that is killed leaves that behind."""
        superstep = self._superstep
        if superstep is not None:
            self._announced[task_id] = self._started(_NODE, _text(name), superstep.number, superstep.started_us)

    def superstep_ended(self) -> None:
        """All tasks of the superstep of the root graph have ended. Those whose results an earlier attempt has stored
        were not executed."""
        if self._announced:
            self._forget_announced()
        superstep, self._superstep = self._superstep, None
        if superstep is not None and not superstep.ended_us:
            self.end_span(superstep)

    def _forget_announced(self) -> None:
        """Drops the spans of tasks that were not executed. Those whose start is stored are ended."""
        while self._announced:
            _, span = self._announced.popitem()
            self._open.pop(span.number, None)
            if span.stored == _STARTED:
                span.end(executed=False)
            else:
                span.stored = _LEFT_OUT

    def announced_node_started(self, task_id: str) -> OpenSpan | None:
        """The code of a task starts. None if it was not announced; `node_started` makes its span then."""
        announced = self._announced.pop(task_id, None)
        if announced is not None:
            announced.started_us = self._offset_us + _monotonic_ns() // 1000
        return announced

    def node_started(self, around: OpenSpan, name: str, *, step: int | None, namespace: str) -> OpenSpan:
        """The code of a node starts. `around` is the current span, `step` LangGraph's number of the superstep, or None
        for a task that a node has called (`@task`), and `namespace` the checkpoint namespace of the task."""
        parent = around if step is None else self._superstep_of(around, namespace.rpartition("|")[0], step)
        return self.start(_NODE, name, parent)

    def _superstep_of(self, around: OpenSpan, namespace: str, step: int) -> OpenSpan:
        is_of_root = around is self.attempt and not namespace
        with self._lock:
            if around.supersteps is None:
                around.supersteps = {}
            current = self._superstep if is_of_root else around.supersteps.get(namespace)
            if current is not None and not current.ended_us:
                if current.step in (step, _UNKNOWN_STEP):
                    current.step = step
                    return current
                self.end_span(current, current.children_ended_us)
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
        span.end(error)
        superstep = self._open.get(span.parent)
        if superstep is not None:
            superstep.children_ended_us = span.ended_us
            if error and superstep.kind is _SUPERSTEP and not superstep.error:
                superstep.error = span.error

    # what is stored

    def part(self) -> SpanPart:
        """What has changed since the last part, to be stored with a write group."""
        return self._stored(self._arrays()) if self._changed else NO_SPANS

    def last_part(self, phase: str, error: str) -> SpanPart:
        """Ends all spans, and returns what the script stores that ends the attempt: `phase` is that of the run
        afterwards. May be called again if that script has stored nothing."""
        if self._announced:
            self._forget_announced()
        if phase == CANCELLED:
            error = error or CANCELLED
        attempt = self.attempt
        self._open.pop(attempt.number, None)
        if self._open:
            self._stop_open(phase)
        attempt.attributes["phase"], attempt.attributes["redis_s"] = phase, round(self.redis_s, 6)
        attempt.error, attempt.ended_us = error, self.now_us()
        if not self._kept or (self._temporary and phase not in _NOT_ENDED):
            return NO_SPANS
        if self._last is None:
            if attempt.is_queued:
                self._changed.remove(attempt)
            self._last = self._arrays()
        was_started = attempt.stored == _STARTED
        array = _ended(attempt, self._base_us) if was_started else _whole(attempt, self._base_us)
        return self._stored([*self._last, array])

    def _stop_open(self, phase: str) -> None:
        for span in list(self._open.values())[::-1]:
            of_superstep = CANCELLED if phase == CANCELLED and not span.error else ""
            span.end(of_superstep if span.kind is _SUPERSTEP else STOPPED)

    def close(self, error: str) -> None:
        """Nothing is recorded any more. `error` is why the attempt ended if its end is not stored: it has lost its
        run."""
        if not self.attempt.ended_us:
            for span in list(self._open.values())[::-1]:
                span.end(error)
        if self._sink is not None:
            self._export(self.attempt.as_span())
        self._is_closed = True

    def _arrays(self) -> list[Sequence[Any]]:
        arrays, changed, base_us = list[Sequence[Any]](), self._changed, self._base_us
        room = self._max_bytes - self._bytes - self._reserved_bytes - _BYTES_OF_PART
        while changed:
            span = changed.popleft()
            span.is_queued = False  # before `ended_us` is read: another thread ends the span in the other order
            before, has_ended = span.stored, span.ended_us > 0
            if before == _STARTED:
                if has_ended:
                    room += _BYTES_OF_END
                    self._reserved_bytes -= _BYTES_OF_END
                    room -= self._end_of(span, room, arrays)
            elif before == _NOT_STORED:
                more = 0 if has_ended else _BYTES_OF_END
                size = _size_within(span, room - more) + more
                if size > room:
                    self._leave_out(span)
                    continue
                room -= size
                if has_ended:
                    span.stored = _ENDED
                    arrays.append(_whole(span, base_us))
                else:
                    span.stored = _STARTED
                    self._reserved_bytes += _BYTES_OF_END
                    arrays.append(_started(span, base_us))
        return arrays

    def _end_of(self, span: OpenSpan, room: int, arrays: list[Sequence[Any]]) -> int:
        """Adds the end of a span whose start is stored, and returns about how many bytes it has. Attributes that do not
        fit are left out."""
        size = _size_within(span, room)
        if size > room:
            span.attributes, size = {}, _BYTES_OF_END
        span.stored = _ENDED
        arrays.append(_ended(span, self._base_us))
        return size

    def _stored(self, arrays: Sequence[Sequence[Any]]) -> SpanPart:
        if not arrays:
            return NO_SPANS
        try:
            part = packed_part(self._base_us, self.id_base, self._left_out, arrays)
        except Exception as error:  # spans are never a reason to fail a run
            log.error("trace.not_stored", run=self.run.run_id, exception=traceback_of(error))
            return NO_SPANS
        stored = sealed(part, self._place)
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


def _size_within(span: OpenSpan, room: int) -> int:
    """About how many bytes it needs, rather more: without inputs and outputs if the span does not fit with them."""
    size = _BYTES_OF_SPAN + len(span.name) + len(span.error)
    if not span.attributes:
        return size
    of_attributes = _size_of_attributes(span)
    if size + of_attributes > room and any(name in span.attributes for name in _CONTENT):
        span.attributes = {name: value for name, value in list(span.attributes.items()) if name not in _CONTENT}
        of_attributes = _size_of_attributes(span)
    return size + of_attributes


def _size_of_attributes(span: OpenSpan) -> int:
    size = 0
    for name, value in list(span.attributes.items()):  # another thread may add one meanwhile
        size += _BYTES_OF_ATTRIBUTE + len(name) + (len(value) * 2 if type(value) is str else 5)
    return size


def _started(span: OpenSpan, base_us: int) -> Sequence[Any]:
    return span.number, KIND_CODES[span.kind], span.name, span.parent, span.started_us - base_us


def _whole(span: OpenSpan, base_us: int) -> Sequence[Any]:
    start_us, took_us = span.started_us - base_us, span.ended_us - span.started_us
    number, kind, name, parent = span.number, KIND_CODES[span.kind], span.name, span.parent
    if span.attributes:
        return number, kind, name, parent, start_us, took_us, span.error, span.attributes
    if span.error:
        return number, kind, name, parent, start_us, took_us, span.error
    return number, kind, name, parent, start_us, took_us


def _ended(span: OpenSpan, base_us: int) -> Sequence[Any]:
    start_us, took_us = span.started_us - base_us, span.ended_us - span.started_us
    if span.attributes:
        return -span.number, start_us, took_us, span.error, span.attributes
    return (-span.number, start_us, took_us, span.error) if span.error else (-span.number, start_us, took_us)
