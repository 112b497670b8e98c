"""Finds what a run waits for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from slipway.errors import NotFound, StoredDataError
from slipway.graph_versions.scripts import VersionScripts
from slipway.redis.pipeline import Pipeline
from slipway.redis.shards import Shards
from slipway.reviews.reads import ReviewReads
from slipway.reviews.record import Review, review_from, review_id_of
from slipway.runs.record import Phase
from slipway.settings import Settings
from slipway.switches.scripts import SwitchScripts
from slipway.telemetry.span import Span, SpanKind
from slipway.tracing.stored_traces import StoredTraces
from slipway.waiting_reasons import stopped
from slipway.waiting_reasons.queued import Blocker, QueuedReasons
from slipway.waiting_reasons.record import MOST_RUNS, Why
from slipway.waiting_reasons.running import OpenWork, RunningReasons
from slipway.waiting_reasons.scripts import Surroundings, WaitingReasonScripts

_MOST_REVIEWS = 4 * MOST_RUNS


class WaitingReasons:
    """Answers what runs wait for. One round trip, and one or two more for a run that executes, or waits for another run
    of its thread, a version, a switch or people."""

    def __init__(self, pipeline: Pipeline, shards: Shards, settings: Settings) -> None:
        records = shards.records
        self._scripts, self._reviews = WaitingReasonScripts(pipeline, shards), ReviewReads(pipeline, records)
        self._versions, self._switches = VersionScripts(pipeline, shards), SwitchScripts(pipeline, shards)
        self._traces = StoredTraces(pipeline, records)
        self._queued = QueuedReasons(settings.reconcile_every_s)
        self._running = RunningReasons(settings.lease_s, settings.reap_every_s)

    async def why(self, run_id: str) -> Why:
        """What the run waits for, for operators: `Why.for_reader` is for others. Raises `NotFound`."""
        found = await self._scripts.surroundings(run_id)
        if found is None:
            raise NotFound("run", run_id)
        return await self._of(found, blocker=await self._blocker(found))

    async def _of(self, found: Surroundings, blocker: Blocker | None) -> Why:
        match found.run.phase:
            case Phase.QUEUED:
                in_lane = found.place is not None and found.place.queue == "lane"
                versions = await self._versions.read() if in_lane and blocker is None else None
                return self._queued.of(found, versions, blocker)
            case Phase.RUNNING:
                return self._running.of(found, await self._open_work(found))
            case Phase.PAUSED:
                off = {switch.target.key: switch for switch in (await self._switches.read()).all()}
                return stopped.paused(found, off.get(found.run.switch or ""))
            case Phase.WAITING_FOR_APPROVAL:
                return stopped.waiting(found, await self._reviews_of(found), asks=bool(found.run.reviews))
            case _:
                return stopped.ended(found)

    async def _blocker(self, found: Surroundings) -> Blocker | None:
        """The run of the thread that must end before this one starts. None if there is none, or it was deleted
        meanwhile."""
        if found.run.phase is not Phase.QUEUED:
            return None
        other_id = found.active or next(iter(found.thread_before), None)
        other = None if other_id is None else await self._scripts.surroundings(other_id)
        if other is None:
            return None
        if other.run.phase is Phase.QUEUED and other.active is not None:
            other = replace(other, active=None)
        return Blocker(other.run, None if other.run.phase is Phase.RUNNING else await self._of(other, blocker=None))

    async def _open_work(self, found: Surroundings) -> Sequence[OpenWork]:
        """What the attempt executes: the spans that have started and not ended. Without spans, the nodes of the last
        superstep that was counted. Tools with a recorded call that has begun are known in both cases."""
        try:
            spans = (await self._traces.of_run(found.run.run_id, found.run.trace)).spans
        except StoredDataError:  # damaged, or encrypted with a missing key
            spans = ()
        attempts = [
            span.span_id for span in spans if span.kind is SpanKind.ATTEMPT and span.name == str(found.run.attempt)
        ]
        nodes = _open_below(attempts, spans)
        tools = [OpenWork("tool", tool, None) for tool in found.tools if tool not in {each.name for each in nodes}]
        if not attempts:
            nodes = [OpenWork("node", node, None) for node in found.run.usage.get("superstep", {})]
        return [*nodes, *tools]

    async def _reviews_of(self, found: Surroundings) -> list[Review]:
        ids = [review_id_of(found.run.run_id, interrupt) for interrupt in found.run.reviews[:_MOST_REVIEWS]]
        return [review_from(fields) for fields in await self._reviews.records(ids) if fields is not None] if ids else []


def _open_below(attempts: Sequence[str], spans: Sequence[Span]) -> list[OpenWork]:
    """The nodes and calls below these spans that have not ended. `spans` are in the order of their starts."""
    within, found = set(attempts), []
    for span in spans:
        if span.parent_id in within and span.ended_us is None:
            within.add(span.span_id)
            if span.kind in (SpanKind.NODE, SpanKind.MODEL, SpanKind.TOOL):
                found.append(OpenWork(span.kind.value, span.name, span.started_us))
    return found
