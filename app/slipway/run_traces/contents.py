"""What the nodes of a trace have received and returned, read on demand from the checkpoints of the thread.

Nothing of it is stored with spans, unless `SLIPWAY_TRACE_CONTENT` is set. It is redacted and bounded.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict, deque
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

import orjson

from slipway.access.users import User
from slipway.errors import SlipwayError
from slipway.redaction.trace_contents import redact_trace_content
from slipway.run_options import RunOptions
from slipway.run_traces.record import AssembledTrace
from slipway.serialization.json_encoding import dumps
from slipway.telemetry.span import Span, SpanKind
from slipway.threads.state_store import ThreadStateStore

MOST_BYTES: Final = 8 * 1024
"""Of the JSON of one value; a longer one becomes a text that is cut."""

_MOST_STATES: Final = 100


async def with_contents(
    trace: AssembledTrace, states: ThreadStateStore, options: Mapping[str, RunOptions], user: User | None = None
) -> AssembledTrace:
    """The trace with what is known of inputs and outputs. `options` are those of each run. If the states of the thread
    cannot be read, for example because its graph is not served here, the trace says so."""
    contents: dict[str, dict[str, Any]] = {each.span.span_id: {} for _, each in trace.spans}
    for run in trace.runs:
        if run.run_id in options and run.root_id in contents:
            given = options[run.run_id]
            value = given.command if given.command is not None else given.input
            contents[run.root_id]["input"] = await asyncio.to_thread(bounded, value)  # it may be large
    problem = None
    try:
        history = await states.history(trace.thread_id, limit=_MOST_STATES, user=user)
    except SlipwayError as error:
        problem, history = f"The states of the thread cannot be read, so outputs are missing: {error}", []
    outputs = await asyncio.to_thread(_outputs, trace, history)
    for span_id, output in outputs.items():
        contents[span_id]["output"] = output
    if problem is None and any(given.durability == "exit" for given in options.values()):
        nodes = [each.span for _, each in trace.spans if each.span.kind is SpanKind.NODE]
        if any(_has_returned(span) and span.span_id not in outputs for span in nodes):
            problem = "Outputs of nodes are missing: with durability `exit`, only the last state of a run is stored."
    return replace(trace, contents=contents, content_problem=problem)


def _outputs(trace: AssembledTrace, history: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """By span id. The results of the tasks of a node belong to those of its spans that ended without an error, in
    order: a task that was executed again after a crash has one result, and its first span has no end."""
    results: dict[str, deque[Any]] = defaultdict(deque)
    for state in reversed(history):
        for task in state["tasks"]:
            if task.get("result") is not None:
                results[task["name"]].append(task["result"])
    runs = {each.run_id for each in trace.runs}
    spans = sorted(
        (each.span for _, each in trace.spans if each.run_id in runs and each.span.kind is SpanKind.NODE),
        key=lambda span: span.started_us,
    )
    found: dict[str, Any] = {}
    for span in spans:
        if _has_returned(span) and span.attributes.get("executed") is not False and results.get(span.name):
            found[span.span_id] = bounded(results[span.name].popleft())
    return found


def _has_returned(span: Span) -> bool:
    return span.ended_us is not None and not span.error and not span.attributes.get("interrupted")


def bounded(value: Any) -> Any:
    """The value, redacted: as it is if its JSON is short, else the begin of its JSON as a text."""
    encoded = redact_trace_content(dumps(value))
    if len(encoded) <= MOST_BYTES:
        return orjson.loads(encoded)
    return f"{encoded[:MOST_BYTES].decode(errors='ignore')}… ({len(encoded)} bytes)"
