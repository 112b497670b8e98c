"""Builds what a run writes to the record of its thread: from the stream of the graph, or from the newest checkpoint."""

from __future__ import annotations

from typing import Any

from langgraph.types import StateSnapshot

from slipway.execution.stream_observer import StreamObserver
from slipway.indexes.terms import value_terms
from slipway.runs.settlement import ThreadSummary
from slipway.serialization.json_encoding import dumps, dumps_in_turns


async def summary_from_stream(observer: StreamObserver) -> ThreadSummary:
    interrupts = {task: [public_interrupt(item) for item in items] for task, items in observer.interrupts.items()}
    status = "interrupted" if observer.is_interrupted else "idle"
    values = observer.values_without_interrupts()
    return _summary(values, await observer.values_json(), interrupts, status)


async def summary_from_snapshot(snapshot: StateSnapshot) -> ThreadSummary:
    """The summary of the newest checkpoint. A thread without a checkpoint has no values."""
    interrupted = (task for task in snapshot.tasks if task.interrupts)
    interrupts = {task.id: [public_interrupt(item) for item in task.interrupts] for task in interrupted}
    status = "interrupted" if snapshot.next else "idle"
    values = None if snapshot.created_at is None else snapshot.values
    return _summary(values, await dumps_in_turns(values), interrupts, status)


def _summary(values: Any, encoded: bytes, interrupts: Any, status: str) -> ThreadSummary:
    return ThreadSummary(encoded, value_terms(values, encoded), dumps(interrupts), status)


def public_interrupt(item: Any) -> dict[str, Any]:
    """An interrupt as the record of a thread contains it: with `response_schema` only if it has one."""
    names = ("id", "value", "response_schema")
    raw = item if isinstance(item, dict) else {name: getattr(item, name) for name in names}
    shown = {"id": raw["id"], "value": raw["value"]}
    return shown | ({"response_schema": raw["response_schema"]} if raw.get("response_schema") else {})
