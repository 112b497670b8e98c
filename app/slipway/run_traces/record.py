"""A trace as it is read: runs, spans and what they add up to."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Final

from slipway.accounting.metered_usage import dollars
from slipway.clock import iso
from slipway.telemetry.span import Span, SpanKind
from slipway.tracing.attempt_trace import STOPPED
from slipway.tracing.span_error import CANCELLED

MOST_SPANS: Final = 5000
"""The most spans of one response: the first ones by their start."""

Content = Mapping[str, Any]
"""What a span has received and returned, redacted and bounded: `input` and `output`, as far as they are known."""


@dataclass(frozen=True, slots=True)
class TreeSpan:
    """A span with those that are part of it."""

    span: Span
    run_id: str
    children: Sequence[TreeSpan] = ()
    """By their start."""

    def walk(self, depth: int = 0) -> Iterator[tuple[int, TreeSpan]]:
        """This span and all below it, in the order in which they are shown, with their depths."""
        waiting = [(depth, self)]
        while waiting:
            depth, each = waiting.pop()
            yield depth, each
            waiting += [(depth + 1, child) for child in reversed(each.children)]


@dataclass(frozen=True, slots=True)
class RunOfTrace:
    """One run of the chain."""

    run_id: str
    graph_id: str
    phase: str
    root_id: str
    """The span of the run."""
    attempts: int
    started_us: int
    ended_us: int | None
    error_code: str | None
    left_out: int
    """Spans that were not stored, because the trace of the run was as large as it may be."""
    problem: str | None
    """A sentence that says why there are no spans of its attempts. None if there are, or if none has started."""
    link: str | None = None
    """The `traceparent` of the request that answered or retried, if that belongs to another trace."""

    def public(self) -> dict[str, Any]:
        return {
            "run_id": self.run_id,
            "graph_id": self.graph_id,
            "phase": self.phase,
            "span_id": self.root_id,
            "attempts": self.attempts,
            "started_at": iso(self.started_us),
            "ended_at": None if self.ended_us is None else iso(self.ended_us),
            "error_code": self.error_code,
            "left_out_spans": self.left_out,
            "problem": self.problem,
            "link": self.link,
        }


@dataclass(frozen=True, slots=True)
class Totals:
    """What the spans add up to. Times are in µs; those of attempts that executed at the same time are added."""

    attempts: int
    workers: Sequence[str]
    """The processes that executed attempts, in the order of their first one."""
    queue_us: int
    approval_us: int
    model_calls: int
    tool_calls: int
    retries: int
    tokens_in: int
    tokens_out: int
    cost_nano: int
    errors: int
    """Failures: spans that ended with an error and have no part that did. What ended an attempt and all that it
    executed, such as the death of its process, counts once."""

    def public(self, *, operator: bool) -> dict[str, Any]:
        """`workers` are names of machines: only operators receive them, others how many there were."""
        return {
            "attempts": self.attempts,
            "workers": list(self.workers) if operator else len(self.workers),
            "queue_s": self.queue_us / 1e6,
            "approval_s": self.approval_us / 1e6,
            "model_calls": self.model_calls,
            "tool_calls": self.tool_calls,
            "retries": self.retries,
            "tokens_in": self.tokens_in,
            "tokens_out": self.tokens_out,
            "cost_usd": dollars(self.cost_nano),
            "errors": self.errors,
        }


@dataclass(frozen=True)
class AssembledTrace:
    """The trace of a run and of its chain, as it was at the moment of reading."""

    run_id: str
    """The run that was asked for."""
    thread_id: str
    trace_id: str | None
    """None if nothing was traced: then there are only spans that records tell."""
    runs: Sequence[RunOfTrace]
    """The first of the chain first."""
    roots: Sequence[TreeSpan]
    """By their start."""
    now_us: int
    """When it was read."""
    more_runs: bool = False
    """Whether the chain has more runs than were read."""
    cut_spans: int = 0
    """How many spans are left out here, because there are more than `MOST_SPANS`."""
    contents: Mapping[str, Content] = field(default_factory=dict)
    """By span id, if they were asked for."""
    content_problem: str | None = None
    """A sentence that says why inputs and outputs could not be read."""

    @cached_property
    def spans(self) -> Sequence[tuple[int, TreeSpan]]:
        """All spans with their depths, in the order in which they are shown."""
        return [found for root in self.roots for found in root.walk()]

    @property
    def run(self) -> RunOfTrace:
        """The run that was asked for."""
        return next(run for run in self.runs if run.run_id == self.run_id)

    @cached_property
    def started_us(self) -> int:
        return min((each.span.started_us for _, each in self.spans), default=self.now_us)

    @cached_property
    def ended_us(self) -> int | None:
        """None while something has not ended."""
        ends = [each.span.ended_us for _, each in self.spans]
        return None if None in ends else max((end for end in ends if end is not None), default=None)

    @cached_property
    def last_us(self) -> int:
        """Where the time axis ends."""
        return self.ended_us or max(self.now_us, self.started_us)

    @cached_property
    def totals(self) -> Totals:
        return totals_of([each.span for _, each in self.spans], self.now_us, sum(run.attempts for run in self.runs))

    @property
    def left_out(self) -> int:
        return sum(run.left_out for run in self.runs)


def totals_of(spans: Sequence[Span], now_us: int, known_attempts: int = 0) -> Totals:
    """What spans add up to. `known_attempts`: how many the records of the runs have, of which some may have no span."""

    def time_of(kind: SpanKind) -> int:
        return sum((span.ended_us or now_us) - span.started_us for span in spans if span.kind is kind)

    def sum_of(name: str, kinds: Sequence[SpanKind] = tuple(SpanKind)) -> int:
        return sum(_number(span.attributes.get(name)) for span in spans if span.kind in kinds)

    attempts = [span for span in spans if span.kind is SpanKind.ATTEMPT]
    workers = dict.fromkeys(str(worker) for span in attempts if (worker := span.attributes.get("worker")))
    calls = (SpanKind.MODEL, SpanKind.TOOL)
    return Totals(
        attempts=max(len(attempts), known_attempts),
        workers=tuple(workers),
        queue_us=time_of(SpanKind.QUEUE),
        approval_us=time_of(SpanKind.APPROVAL),
        model_calls=sum(span.kind is SpanKind.MODEL and span.attributes.get("executed") is not False for span in spans),
        tool_calls=sum(span.kind is SpanKind.TOOL for span in spans),
        retries=sum_of("retries"),
        tokens_in=sum_of("tokens_in", calls),
        tokens_out=sum_of("tokens_out", calls),
        cost_nano=sum_of("cost_nano", calls),
        errors=_failures(spans),
    )


_EXECUTED: Final = (SpanKind.ATTEMPT, SpanKind.SUPERSTEP, SpanKind.NODE, SpanKind.MODEL, SpanKind.TOOL)
_STOPPED: Final = (CANCELLED, STOPPED)
_DEEPEST: Final = 100


def _failures(spans: Sequence[Span]) -> int:
    """How many failures the spans tell. A failure shows at the innermost span, and at those around it up to the run:
    reviews, webhooks and later runs are below a run too, but are no reason for its error."""
    by_id = {span.span_id: span for span in spans}
    failed = [span for span in spans if span.error and not _is_consequence(span, by_id)]
    explained = {span.parent_id for span in failed if span.kind in _EXECUTED}
    return len({_struck_by(span, by_id) for span in failed if span.span_id not in explained})


def _is_consequence(span: Span, by_id: Mapping[str, Span]) -> bool:
    """Whether something was only stopped, because another part failed or its attempt was to end."""
    if span.error not in _STOPPED or span.kind not in _EXECUTED or span.kind is SpanKind.ATTEMPT:
        return False
    return _struck_by(span, by_id) == span.span_id


def _struck_by(span: Span, by_id: Mapping[str, Span]) -> str:
    """The id of the attempt, if the error of a span is the one that ended its whole attempt; else that of the span."""
    around: Span | None = span
    for _ in range(_DEEPEST):
        if around is None or around.error != span.error:
            break
        if around.kind is SpanKind.ATTEMPT:
            return around.span_id
        around = by_id.get(around.parent_id)
    return span.span_id


def _number(value: object) -> int:
    return int(value) if isinstance(value, int | float) else 0
