"""A trace as JSON: the response of `GET /ops/runs/{run_id}/trace`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

import orjson

from slipway.clock import iso
from slipway.run_traces.record import AssembledTrace, Content, TreeSpan
from slipway.run_traces.time_axis import TimeAxis, axis_of
from slipway.telemetry.span import Attribute, Span
from slipway.telemetry.table.whole_table import SPAN_TYPES

Form = Literal["tree", "spans"]
FORMS: Final[tuple[Form, ...]] = ("tree", "spans")

CONTENT_ATTRIBUTES: Final = frozenset(
    attribute.name for each in SPAN_TYPES.values() for attribute in each.attributes if attribute.is_content
)
"""The attributes that quote inputs or outputs."""


def public(trace: AssembledTrace, form: Form, *, operator: bool) -> dict[str, Any]:
    """The trace as clients receive it: `spans` are the roots with their `children`, or all spans in the order in which
    they are shown. Only operators receive the names of workers, others `worker 1` and so on."""
    members = _Members(trace, axis_of(trace), {} if operator else worker_labels(trace))
    shown: Sequence[dict[str, Any]]
    if form == "tree":
        shown = [members.nested(root) for root in trace.roots]
    else:
        shown = [members.of(each) | {"depth": depth} for depth, each in trace.spans]
    return {
        "trace_id": trace.trace_id,
        "run_id": trace.run_id,
        "thread_id": trace.thread_id,
        "graph_id": trace.run.graph_id,
        "phase": trace.run.phase,
        "started_at": iso(trace.started_us),
        "ended_at": None if trace.ended_us is None else iso(trace.ended_us),
        "duration_s": (trace.last_us - trace.started_us) / 1e6,
        "read_at": iso(trace.now_us),
        "problem": trace.run.problem,
        "runs": [run.public() for run in trace.runs],
        "has_more_runs": trace.more_runs,
        "totals": trace.totals.public(operator=operator),
        "left_out_spans": trace.left_out,
        "cut_spans": trace.cut_spans,
        "waits_are_shortened": members.axis.shortened,
        "content_problem": trace.content_problem,
        "spans": shown,
    }


def worker_labels(trace: AssembledTrace) -> dict[str, str]:
    """Names for the processes of a trace that say nothing about machines."""
    return {worker: f"worker {number}" for number, worker in enumerate(trace.totals.workers, 1)}


@dataclass(frozen=True, slots=True)
class _Members:
    trace: AssembledTrace
    axis: TimeAxis
    workers: Mapping[str, str]

    def of(self, each: TreeSpan) -> dict[str, Any]:
        span, trace = each.span, self.trace
        end_us = span.ended_us if span.ended_us is not None else trace.last_us
        place = self.axis.place(span.started_us)
        members: dict[str, Any] = {
            "span_id": span.span_id,
            "parent_id": span.parent_id or None,
            "run_id": each.run_id,
            "kind": span.kind.value,
            "name": span.name,
            "started_at": iso(span.started_us),
            "ended_at": None if span.ended_us is None else iso(span.ended_us),
            "duration_s": (max(end_us, span.started_us) - span.started_us) / 1e6,
            "state": state_of(span),
            "error": span.error or None,
            "attributes": self._attributes(span),
            "offset": round(place, 5),
            "extent": round(max(self.axis.place(end_us) - place, 0.0), 5),
        }
        content = content_of(span, trace.contents)
        return members | ({"content": dict(content)} if content else {})

    def nested(self, each: TreeSpan) -> dict[str, Any]:
        return self.of(each) | {"children": [self.nested(child) for child in each.children]}

    def _attributes(self, span: Span) -> dict[str, Attribute]:
        shown = {name: value for name, value in span.attributes.items() if name not in CONTENT_ATTRIBUTES}
        worker = str(shown.get("worker", ""))
        return shown | {"worker": self.workers[worker]} if worker in self.workers else shown


def content_of(span: Span, contents: Mapping[str, Content]) -> Content:
    """What a span has received and returned: what was recorded with it, and what checkpoints have. Empty unless
    contents were asked for."""
    if span.span_id not in contents:
        return {}
    recorded = {name: _decoded(value) for name, value in span.attributes.items() if name in CONTENT_ATTRIBUTES}
    return recorded | dict(contents[span.span_id])


def _decoded(recorded: Attribute) -> Any:
    """A recorded value: JSON, or the begin of it as a text."""
    try:
        return orjson.loads(str(recorded))
    except orjson.JSONDecodeError:
        return recorded


def state_of(span: Span) -> Literal["ok", "error", "open"]:
    """`open`: it has not ended, or nobody has seen its end."""
    if span.error:
        return "error"
    return "open" if span.ended_us is None else "ok"
