"""Reads the spans of runs as trees."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from langgraph_sdk.client import LangGraphClient

from slipway.redis.keys import Keys
from slipway.redis.pipeline import Pipeline
from slipway.runs.record import Run
from slipway.services import Services
from slipway.telemetry.span import Span
from slipway.tracing.run_trace import RunTrace
from tests.metrics.stored_figures import add_up_counts


@dataclass(frozen=True)
class Tree:
    """The stored spans of one run."""

    trace: RunTrace | None
    spans: Sequence[Span]
    left_out: int = 0

    @property
    def known_trace(self) -> RunTrace:
        assert self.trace is not None
        return self.trace

    @property
    def root_id(self) -> str:
        return self.known_trace.context.span_id

    def children(self, span_id: str) -> list[Span]:
        return [span for span in self.spans if span.parent_id == span_id]

    def names_below(self, span_id: str) -> Any:
        return [(f"{span.kind} {span.name}", self.names_below(span.span_id)) for span in self.children(span_id)]

    @property
    def names(self) -> Any:
        return self.names_below(self.root_id)

    def named(self, name: str) -> list[Span]:
        """Those of this kind and name: `node step`."""
        return [span for span in self.spans if f"{span.kind} {span.name}" == name]

    def only(self, name: str) -> Span:
        (span,) = self.named(name)
        return span


@dataclass(frozen=True)
class RunTree(Tree):
    """With the run."""

    run: Run = field(kw_only=True)


async def tree_of(services: Services, thread_id: str, run_id: str) -> RunTree:
    """The stored spans of a run."""
    run = await services.runs.get(thread_id, run_id)
    stored = await services.stored_traces.of_run(run_id, run.trace)
    return RunTree(run.trace, stored.spans, stored.left_out, run=run)


async def run_and_read(
    sdk: LangGraphClient, services: Services, graph: str, input: dict[str, Any] | None = None, **options: Any
) -> RunTree:
    """Executes a run on a new thread to its end, and reads its spans."""
    thread = (await sdk.threads.create())["thread_id"]
    run: Any = await sdk.runs.create(thread, graph, input=input or {}, **options)
    await sdk.runs.join(thread, run["run_id"])
    return await tree_of(services, thread, run["run_id"])


BYTES_OF_TRACE = 300
"""What each run counts for, beside its spans."""


async def stored_bytes(pipeline: Pipeline, keys: Keys) -> int:
    """The bytes of all stored spans, with what each run counts for."""
    await add_up_counts(pipeline, keys)
    runs = await pipeline.send("ZRANGE", keys.traces, 0, -1)
    parts = [await pipeline.send("LRANGE", keys.run_trace(run.decode()), 0, -1) for run in runs]
    return sum(map(len, (part for each in parts for part in each))) + BYTES_OF_TRACE * len(runs)


async def counted_bytes(pipeline: Pipeline, keys: Keys) -> int:
    await add_up_counts(pipeline, keys)
    return int(await pipeline.send("GET", keys.trace_bytes) or 0)
