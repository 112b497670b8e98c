"""Builds what a run writes to the record of its thread: from the stream of the graph, or from the newest checkpoint."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from langgraph.types import StateSnapshot

from slipway.execution.stream_observer import StreamObserver
from slipway.indexes.terms import value_terms
from slipway.redaction.redact import redact_json
from slipway.runs.settlement import AskedQuestion, ThreadSummary
from slipway.serialization.json_encoding import dumps, dumps_in_turns


async def summary_from_stream(observer: StreamObserver) -> ThreadSummary:
    interrupts = {task: [public_interrupt(item) for item in items] for task, items in observer.interrupts.items()}
    nodes = observer.asking_nodes
    status = "interrupted" if observer.is_interrupted else "idle"
    values = observer.values_without_interrupts()
    return _summary(values, await observer.values_json(), interrupts, nodes, status)


async def summary_from_snapshot(snapshot: StateSnapshot) -> ThreadSummary:
    """The summary of the newest checkpoint. A thread without a checkpoint has no values."""
    interrupted = [task for task in snapshot.tasks if task.interrupts]
    interrupts = {task.id: [public_interrupt(item) for item in task.interrupts] for task in interrupted}
    status = "interrupted" if snapshot.next else "idle"
    values = None if snapshot.created_at is None else snapshot.values
    nodes = {task.id: task.name for task in interrupted}
    return _summary(values, redact_json(await dumps_in_turns(values)), interrupts, nodes, status)


def _summary(
    values: Any, encoded: bytes, interrupts: Mapping[str, Sequence[Any]], nodes: Mapping[str, str], status: str
) -> ThreadSummary:
    """`encoded` are the values as JSON without secrets, and `nodes` are those of the tasks that asked."""
    questions = [AskedQuestion(each, nodes[task]) for task, asked in interrupts.items() for each in asked]
    return ThreadSummary(encoded, value_terms(values, encoded), redact_json(dumps(interrupts)), status, questions)


def public_interrupt(item: Any) -> dict[str, Any]:
    """An interrupt as the record of a thread contains it: with `response_schema` only if it has one."""
    names = ("id", "value", "response_schema")
    raw = item if isinstance(item, dict) else {name: getattr(item, name) for name in names}
    shown = {"id": raw["id"], "value": raw["value"]}
    return shown | ({"response_schema": raw["response_schema"]} if raw.get("response_schema") else {})
