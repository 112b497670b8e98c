"""Reads the spans that are stored with runs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from slipway.redis.keys import Keys
from slipway.redis.pipeline import Pipeline
from slipway.serialization.at_rest import opened_in_thread
from slipway.serialization.places import trace_place
from slipway.telemetry.span import Span
from slipway.tracing.reads import TraceReads
from slipway.tracing.run_trace import RunTrace
from slipway.tracing.stored_form import spans_from


@dataclass(frozen=True, slots=True)
class StoredTrace:
    """What is stored of one run."""

    spans: Sequence[Span]
    """In the order in which they started. The parents of attempts are the root span of the run, which is not stored:
    its times are those of the record. Empty if the run was not kept, or its spans have been deleted by now."""
    left_out: int
    """How many spans were not stored, because the trace of the run was as large as it may be."""


NOT_STORED = StoredTrace((), 0)


class StoredTraces:
    """Reads spans. They are not checked against users: whoever may read a run may read its spans."""

    def __init__(self, pipeline: Pipeline, keys: Keys) -> None:
        self._reads = TraceReads(pipeline, keys)

    async def of_run(self, run_id: str, trace: RunTrace | None) -> StoredTrace:
        """The stored spans of a run; `trace` is that of its record (`Run.trace`). One round trip, or none if it was not
        kept. Raises `StoredDataError` for damaged ones, and for those that are encrypted with a missing key."""
        if trace is None or not trace.kept:
            return NOT_STORED
        place = trace_place(run_id)
        parts = [await opened_in_thread(part, place) for part in await self._reads.parts(run_id)]
        return StoredTrace(*spans_from(parts, trace.context.span_id))
