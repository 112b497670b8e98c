"""Reads the trace of a run and of its chain."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from typing import Final

from slipway.errors import NotFound, StoredDataError
from slipway.redis.pipeline import Pipeline
from slipway.redis.shards import Shards
from slipway.reviews.reads import ReviewReads
from slipway.reviews.record import Review, review_from, review_id_of
from slipway.run_traces.derived_spans import (
    PauseOfRun,
    RunTimes,
    approval_spans,
    queue_spans,
    request_spans,
    run_span,
    webhook_spans,
)
from slipway.run_traces.record import MOST_SPANS, AssembledTrace, RunOfTrace
from slipway.run_traces.tree import shortened, tree_of, with_ends
from slipway.run_traces.why_no_spans import why_no_spans
from slipway.runs.audit import AuditEntry, AuditTrail
from slipway.runs.reads import RunReads
from slipway.runs.record import Run, run_from
from slipway.runs.scripts import RunScripts
from slipway.settings import Settings
from slipway.telemetry.derived_id import derived_id
from slipway.telemetry.span import Attribute, Span, SpanKind
from slipway.tracing.stored_traces import NOT_STORED, StoredTrace, StoredTraces
from slipway.webhooks.delivery_reads import DeliveryReads
from slipway.webhooks.delivery_search import DeliveryQuery, DeliverySearch
from slipway.webhooks.delivery_summary import DeliverySummary
from slipway.webhooks.try_record import TryRecord

MOST_RUNS: Final = 50
"""The most runs of a chain that one trace has: those before and after the one that was asked for."""

_MOST_DELIVERIES: Final = 20
_MOST_REVIEWS: Final = 50
_MOST_PAUSES: Final = 200

MayRead = Callable[[Run], Awaitable[bool]]
"""Whether the reader may read another run of the chain."""


def _times_of(run: Run) -> RunTimes:
    return RunTimes(int(run.incarnation), run.updated_us, run.ended_us, run.started_us)


def _root_of(run: Run) -> str:
    """The id of the span of the run."""
    return derived_id(run.run_id) if run.trace is None else run.trace.context.span_id


async def _not_read() -> tuple[StoredTrace, str]:
    return NOT_STORED, f"Its spans are not shown: those of the other runs are more than {MOST_SPANS}."


async def everybody(run: Run) -> bool:
    """For operators, and for commands."""
    return True


class RunTraces:
    """Assembles traces. What they contain is not checked against users, except the other runs of a chain."""

    def __init__(self, pipeline: Pipeline, shards: Shards, settings: Settings) -> None:
        self._pipeline, self._settings, keys = pipeline, settings, shards.records
        self._runs, self._stored = RunReads(pipeline, keys), StoredTraces(pipeline, keys)
        self._reviews, self._audit = (
            ReviewReads(pipeline, keys),
            AuditTrail(pipeline, keys, RunScripts(pipeline, shards)),
        )
        self._deliveries = DeliveryReads(pipeline, keys)
        self._search = DeliverySearch(pipeline, shards, max_checks=settings.search_max_checks)

    async def of_run(self, run_id: str, may_read: MayRead = everybody, *, operator: bool = True) -> AssembledTrace:
        """The trace of a run, with the runs of its chain that the reader may read. Those who are no operators see only
        the webhook that the run itself names. Raises `NotFound`."""
        asked = await self._record(run_id)
        if asked is None:
            raise NotFound("run", run_id)
        chain, more = await self._chain(asked, may_read)
        now_us = await self._now_us()
        parts = await self._parts(chain, run_id, now_us, operator=operator)
        roots, cut = shortened(tree_of({run.run_id: spans for run, spans in parts}), MOST_SPANS)
        trace = asked.trace
        return AssembledTrace(
            run_id=run_id,
            thread_id=asked.thread_id,
            trace_id=None if trace is None else trace.context.trace_id,
            runs=[run for run, _ in parts],
            roots=roots,
            now_us=now_us,
            more_runs=more,
            cut_spans=cut,
        )

    async def spans_of(self, run_id: str) -> tuple[Run, list[Span]] | None:
        """The spans of one run, without its chain. None if the run does not exist."""
        run = await self._record(run_id)
        if run is None:
            return None
        _, spans = await self._run(run, await self._now_us(), operator=True, stored=True)
        return run, spans

    async def _record(self, run_id: str) -> Run | None:
        fields = await self._runs.record(run_id)
        return None if fields is None else run_from(fields)

    async def _now_us(self) -> int:
        seconds, microseconds = await self._pipeline.send("TIME", at=self._settings.key_prefix, repeatable=True)
        return int(seconds) * 1_000_000 + int(microseconds)

    async def _chain(self, asked: Run, may_read: MayRead) -> tuple[list[Run], bool]:
        """The runs of the chain in their order, and whether there are more than `MOST_RUNS`."""
        chain, more = [asked], False
        while (before := chain[0].resumes) is not None and len(chain) < MOST_RUNS // 2:
            earlier = await self._record(before)
            if earlier is None or earlier.thread_id != asked.thread_id or not await may_read(earlier):
                break
            chain.insert(0, earlier)
        else:
            more = before is not None
        while (after := chain[-1].retried_by or chain[-1].resumed_by) is not None and len(chain) < MOST_RUNS:
            later = await self._record(after)
            if later is None or later.resumes != chain[-1].run_id or not await may_read(later):
                break
            chain.append(later)
        else:
            more = more or after is not None
        return chain, more

    async def _parts(
        self, chain: Sequence[Run], asked: str, now_us: int, *, operator: bool
    ) -> list[tuple[RunOfTrace, list[Span]]]:
        """The runs with their spans. Those next to the one that was asked for are read first: when there are enough
        spans, those of the others are left out."""
        at = [run.run_id for run in chain].index(asked)
        parts: dict[str, tuple[RunOfTrace, list[Span]]] = {}
        count = 0
        for run in sorted(chain, key=lambda each: abs(chain.index(each) - at)):
            parts[run.run_id] = await self._run(run, now_us, operator=operator, stored=count < MOST_SPANS)
            count += len(parts[run.run_id][1])
        return [parts[run.run_id] for run in chain]

    async def _run(self, run: Run, now_us: int, *, operator: bool, stored: bool) -> tuple[RunOfTrace, list[Span]]:
        times, root_id = _times_of(run), _root_of(run)
        (found, damage), reviews, entries, (deliveries, tries) = await asyncio.gather(
            self._spans_of(run) if stored else _not_read(),
            self._reviews_of(run),
            self._audit.read(run.run_id, limit=_MOST_PAUSES),
            self._webhooks_of(run, operator=operator),
        )
        attempts = [span for span in found.spans if span.kind is SpanKind.ATTEMPT]
        parent_id = "" if run.trace is None else run.trace.parent_id
        requests = [] if run.resumes is not None else request_spans(run, root_id, parent_id, times, now_us)
        spans = [
            *requests,
            run_span(run, root_id, parent_id or next((span.span_id for span in requests), ""), times, now_us),
            *queue_spans(run, root_id, times, attempts, _pauses(entries), now_us),
            *with_ends([_while_it_lasts(span, run) for span in found.spans]),
            *approval_spans(run, root_id, times, reviews),
            *webhook_spans(root_id, deliveries, tries),
        ]
        return self._summary(run, found, damage, now_us), spans

    async def _spans_of(self, run: Run) -> tuple[StoredTrace, str | None]:
        """The stored spans, or why they cannot be read: the rest of the trace is shown all the same."""
        try:
            return await self._stored.of_run(run.run_id, run.trace), None
        except StoredDataError as error:
            return NOT_STORED, f"Its spans cannot be read: {error}."

    def _summary(self, run: Run, stored: StoredTrace, damage: str | None, now_us: int) -> RunOfTrace:
        link = None if run.trace is None or run.trace.link is None else run.trace.link.traceparent
        return RunOfTrace(
            run_id=run.run_id,
            graph_id=run.graph_id,
            phase=run.phase.value,
            root_id=_root_of(run),
            attempts=run.attempt,
            started_us=int(run.incarnation),
            ended_us=run.ended_us,
            error_code=run.error_code,
            left_out=stored.left_out,
            problem=damage or why_no_spans(run, stored, self._settings, now_us),
            link=link,
        )

    async def _reviews_of(self, run: Run) -> list[Review]:
        ids = [review_id_of(run.run_id, interrupt) for interrupt in run.reviews[:_MOST_REVIEWS]]
        return [review_from(fields) for fields in await self._reviews.records(ids) if fields is not None] if ids else []

    async def _webhooks_of(
        self, run: Run, *, operator: bool
    ) -> tuple[list[DeliverySummary], dict[str, list[TryRecord]]]:
        """The deliveries about a run, with their tries."""
        page = await self._search.page(DeliveryQuery(run_id=run.run_id), limit=_MOST_DELIVERIES, oldest_first=True)
        shown = [each for each in page.deliveries if operator or each.endpoint_id is None]
        stored = await asyncio.gather(*(self._deliveries.with_tries(each.delivery_id) for each in shown))
        tries = {
            each.delivery_id: [TryRecord.from_stored(each.delivery_id, text) for text in texts]
            for each, (_, texts) in zip(shown, stored, strict=True)
        }
        return shown, tries


def _while_it_lasts(span: Span, run: Run) -> Span:
    """The span of an attempt gets its attributes when it ends: until then its name is its number, and the record has
    its worker."""
    if span.kind is not SpanKind.ATTEMPT or span.ended_us is not None or not span.name.isdecimal():
        return span
    known: dict[str, Attribute] = {"number": int(span.name)}
    if span.name == str(run.attempt) and run.worker is not None:
        known["worker"] = run.worker
    return replace(span, attributes=known | dict(span.attributes))


_ENDS_OF_PAUSES: Final = frozenset(
    {"run.resumed", "switch.enabled", "run.node_skipped", "run.state_edited", "run.cancelled", "thread.moved"}
)


def _pauses(entries: Sequence[AuditEntry]) -> list[PauseOfRun]:
    """When the run was paused, as its audit trail has it."""
    pauses: list[PauseOfRun] = []
    begun: AuditEntry | None = None
    for entry in entries:
        if entry.action == "run.paused":
            begun = begun or entry
        elif entry.action in _ENDS_OF_PAUSES and begun is not None:
            pauses.append(PauseOfRun(_time_of(begun), _time_of(entry), begun.actor))
            begun = None
    return pauses if begun is None else [*pauses, PauseOfRun(_time_of(begun), None, begun.actor)]


def _time_of(entry: AuditEntry) -> int:
    return int(entry.entry_id.partition("-")[0]) * 1000
