"""Spans that other records know exactly, and that are therefore not stored: the run itself, the request that created
it, its waits in the queue and for people, and the tries of its webhooks.

Their ids are digests of what they are about, so they are the same whenever the trace is read.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from slipway.reviews.record import UNDECIDED, Review
from slipway.runs.record import Phase, Run
from slipway.telemetry.derived_id import derived_id, queue_span_id, webhook_span_id
from slipway.telemetry.span import Attribute, Span, SpanKind
from slipway.webhooks.delivery_summary import DeliverySummary
from slipway.webhooks.try_record import TryRecord

_UUID_WITH_TIME: Final = 7
_WAITS_FROM_US: Final = 1_000_000
"""A run that is due so long after its request was accepted has a delay, which is a span of its own. Whole seconds: a
request without a delay is stored within milliseconds."""


@dataclass(frozen=True, slots=True)
class RunTimes:
    """Fields of the record of a run, in µs."""

    created_us: int
    """When it was created; of a delayed run, when it was due."""
    updated_us: int
    ended_us: int | None
    """When its last attempt settled it, or a reclaim failed it."""
    claimed_us: int | None = None
    """When its first attempt was claimed."""

    def ended_before_claim_us(self, run: Run) -> int | None:
        """When a run was cancelled that no worker executed then. None for every other run."""
        return self.updated_us if run.final and self.ended_us is None else None


@dataclass(frozen=True, slots=True)
class PauseOfRun:
    """From when to when a run was paused. None: it is."""

    started_us: int
    ended_us: int | None
    by: str


def run_span(run: Run, root_id: str, parent_id: str, times: RunTimes, now_us: int) -> Span:
    """The run, from when it was due until it settled. One that is not due yet begins now, so that nothing of a trace
    is in the future."""
    attributes: dict[str, Attribute] = {"phase": run.phase.value}
    if run.version:
        attributes["version"] = run.version
    ended_us = times.ended_us if run.final or run.phase is Phase.WAITING_FOR_APPROVAL else None
    if ended_us is None:
        ended_us = times.ended_before_claim_us(run)
    started_us = min(times.created_us, now_us if ended_us is None else ended_us)
    error = run.error_code or "" if run.phase is Phase.FAILED else "cancelled" if run.phase is Phase.CANCELLED else ""
    return Span(root_id, parent_id, SpanKind.RUN, run.graph_id, started_us, ended_us, error, attributes)


def request_spans(run: Run, root_id: str, parent_id: str, times: RunTimes, now_us: int) -> list[Span]:
    """The request that created the run, from when the web process accepted it until the run was stored, and a delay
    before the run was due, which ends early if the run is cancelled, and has no end while it lasts. Empty if the id of
    the run has no time, because an idempotency key or a cron determines it.

    The route and the rest of the request are only exported: no record has them."""
    accepted_us = _time_in(run.run_id)
    if accepted_us is None or accepted_us > times.created_us:
        return []
    if times.created_us - accepted_us < _WAITS_FROM_US:
        ended_us, delay = times.created_us, []
    else:
        delay_id = derived_id(root_id, "delay")
        ended_us = accepted_us
        cancelled_us = times.ended_before_claim_us(run)
        over_us = times.created_us if cancelled_us is None else min(times.created_us, cancelled_us)
        delay_ended_us = max(over_us, accepted_us) if over_us <= now_us else None
        delay = [Span(delay_id, root_id, SpanKind.QUEUE, "delay", accepted_us, delay_ended_us, "")]
    own_id = parent_id or derived_id(root_id, "request")
    return [Span(own_id, "", SpanKind.REQUEST, "request", accepted_us, ended_us), *delay]


def _time_in(run_id: str) -> int | None:
    """The time in a UUID of version 7, in µs."""
    identifier = UUID(run_id)
    return (identifier.int >> 80) * 1000 if identifier.version == _UUID_WITH_TIME else None


def queue_spans(
    run: Run, root_id: str, times: RunTimes, attempts: Sequence[Span], pauses: Sequence[PauseOfRun], now_us: int
) -> list[Span]:
    """The waits between what happened: before the first attempt, after each one that ended, and while it was paused.

    The record has the time of the first claim only: the first wait ends then, and each later one with the start of its
    attempt. If no attempt has spans, later waits are unknown, except the one that lasts."""
    spans: list[Span] = []
    waits_from: int | None = times.created_us
    if times.claimed_us is not None and not any(_number_of(attempt) == 1 for attempt in attempts):
        spans += _wait_between(root_id, times.created_us, times.claimed_us, pauses, 1)
        waits_from = None
    for attempt in sorted(attempts, key=lambda span: span.started_us):
        number = _number_of(attempt)
        until_us = attempt.started_us if number != 1 or times.claimed_us is None else times.claimed_us
        if waits_from is not None:
            spans += _wait_between(root_id, waits_from, until_us, pauses, number)
        waits_from = attempt.ended_us
    is_waiting = run.phase in (Phase.QUEUED, Phase.PAUSED)
    if waits_from is None and is_waiting and times.claimed_us is not None:
        waits_from = times.updated_us  # when its last attempt gave it back
    cancelled_us = times.ended_before_claim_us(run)
    if waits_from is not None and is_waiting and waits_from < now_us:
        spans += _wait(root_id, waits_from, None, pauses, run.attempt + 1)
    elif waits_from is not None and cancelled_us is not None:
        spans += _wait_between(root_id, waits_from, cancelled_us, pauses, run.attempt + 1)
    return spans


def _wait_between(
    root_id: str, started_us: int, ended_us: int, pauses: Sequence[PauseOfRun], number: int
) -> list[Span]:
    return _wait(root_id, started_us, ended_us, pauses, number) if ended_us > started_us else []


def _number_of(attempt: Span) -> int:
    return int(attempt.name) if attempt.name.isdecimal() else 0


def _wait(root_id: str, started_us: int, ended_us: int | None, pauses: Sequence[PauseOfRun], number: int) -> list[Span]:
    """A wait in the queue, in parts if the run was paused meanwhile."""
    spans: list[Span] = []
    at: int | None = started_us
    for pause in pauses:
        if at is None or (ended_us is not None and pause.started_us >= ended_us):
            break
        if pause.ended_us is not None and pause.ended_us <= at:
            continue
        begun = max(pause.started_us, at)
        if begun > at:
            spans.append(_queue(root_id, at, begun, number))
        over = min((end for end in (pause.ended_us, ended_us) if end is not None), default=None)
        pause_id = derived_id(root_id, "pause", begun)
        attributes: dict[str, Attribute] = {"paused_by": pause.by}
        spans.append(Span(pause_id, root_id, SpanKind.QUEUE, "paused", begun, over, "", attributes))
        at = over
    if at is not None and (ended_us is None or ended_us > at):
        spans.append(_queue(root_id, at, ended_us, number))
    return spans


def _queue(root_id: str, started_us: int, ended_us: int | None, number: int) -> Span:
    attributes: dict[str, Attribute] = {"number": number}
    span_id = queue_span_id(root_id, started_us)
    return Span(span_id, root_id, SpanKind.QUEUE, "queue", started_us, ended_us, "", attributes)


def approval_spans(run: Run, root_id: str, times: RunTimes, reviews: Sequence[Review]) -> list[Span]:
    """The waits for people: one for each review, or one for a run that stopped without any."""
    if reviews:
        return [_review_span(root_id, review) for review in reviews]
    has_waited = run.phase is Phase.WAITING_FOR_APPROVAL or bool(run.resumed_by)
    if not has_waited or times.ended_us is None or (run.retried_by and run.retried_by == run.resumed_by):
        return []
    ended_us = times.updated_us if run.phase is not Phase.WAITING_FOR_APPROVAL else None
    span_id = derived_id(root_id, "answer")
    return [Span(span_id, root_id, SpanKind.APPROVAL, "answer", times.ended_us, ended_us)]


def _review_span(root_id: str, review: Review) -> Span:
    attributes: dict[str, Attribute] = {"review": review.review_id, "review_state": review.state.value}
    ended_us: int | None = None
    if review.state not in UNDECIDED:
        ended_us = review.updated_us
    if review.outcome is not None:
        attributes["decided_by"] = ", ".join(review.outcome.by)
        kinds = [str(decision.get("kind", "")) for decision in review.outcome.decisions]
        attributes["decision"] = ", ".join(filter(None, kinds))
    if review.reminders:
        attributes["reminders"] = review.reminders
    error = review.state.value if review.state.value in ("expired", "superseded") else ""
    span_id = derived_id(root_id, "review", review.review_id)
    return Span(span_id, root_id, SpanKind.APPROVAL, review.node, review.created_us, ended_us, error, attributes)


def webhook_spans(
    root_id: str, deliveries: Sequence[DeliverySummary], tries: Mapping[str, Sequence[TryRecord]]
) -> list[Span]:
    """A span for each try. A try whose process was killed has no end."""
    return [
        _try_span(root_id, delivery, each) for delivery in deliveries for each in tries.get(delivery.delivery_id, ())
    ]


def _try_span(root_id: str, delivery: DeliverySummary, each: TryRecord) -> Span:
    attributes: dict[str, Attribute] = {"delivery": delivery.delivery_id, "tries_before": each.number - 1}
    if each.status is not None:
        attributes["status"] = each.status
    if delivery.type is not None:
        attributes["event"] = delivery.type
    ended_us = None if each.duration_ms is None else each.at_us + each.duration_ms * 1000
    error = (each.problem or "") if ended_us is not None else each.problem or "worker.died"
    span_id = webhook_span_id(root_id, delivery.delivery_id, each.number, each.at_us)
    name = delivery.type or "webhook"
    return Span(span_id, root_id, SpanKind.WEBHOOK, name, each.at_us, ended_us, error, attributes)
