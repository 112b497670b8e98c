"""The stream mode `lifecycle`: when the subgraphs of a run start and end. LangGraph has no such mode.

The events are derived from LangGraph's chunks: a subgraph starts with its first chunk, and ends with the task of the
parent graph that executes it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from slipway.execution.failure_from_exception import public_error

Namespace = tuple[str, ...]


class SubgraphEvents:
    """Receives the chunks of one run in order and yields the events, each with the namespace of its subgraph."""

    def __init__(self) -> None:
        self._open: set[Namespace] = set()
        self._calls: dict[Namespace, str] = {}
        """The ids of the tool calls that tasks execute, by the namespace of the task."""

    def events_for(
        self, namespace: Sequence[str], mode: str, payload: Any
    ) -> Iterator[tuple[Namespace, dict[str, Any]]]:
        for depth in range(1, len(namespace) + 1):
            subgraph = tuple(namespace[:depth])
            if subgraph not in self._open:
                self._open.add(subgraph)
                yield subgraph, self._event("started", subgraph)
        if mode != "tasks":
            return
        task = (*namespace, f"{payload['name']}:{payload['id']}")
        if "triggers" in payload:
            if (call := _tool_call_id(payload.get("input"))) is not None:
                self._calls[task] = call
            return
        if task in self._open:
            self._open.discard(task)
            yield task, self._event(_end_status(payload), task, payload.get("error"))
        self._calls.pop(task, None)

    def _event(self, status: str, subgraph: Namespace, error: Any = None) -> dict[str, Any]:
        event: dict[str, Any] = {"event": status, "namespace": list(subgraph)}
        if subgraph in self._calls:
            event["tool_call_id"] = self._calls[subgraph]
        if error is not None:
            event["error"] = public_error(error)
        return event


def _end_status(payload: Mapping[str, Any]) -> str:
    if payload.get("interrupts"):
        return "interrupted"
    return "completed" if payload.get("error") is None else "failed"


def _tool_call_id(input_: Any) -> str | None:
    """The id of the tool call that a task executes. The input of the task is the call itself (`Send`), or its last
    message has exactly one call."""
    if not isinstance(input_, Mapping):
        return None
    call = input_.get("tool_call")
    if isinstance(call, Mapping):
        return _id_of(call)
    messages = input_.get("messages")
    calls = getattr(messages[-1], "tool_calls", None) if isinstance(messages, list) and messages else None
    return _id_of(calls[0]) if calls and len(calls) == 1 else None


def _id_of(call: Mapping[str, Any]) -> str | None:
    call_id = call.get("id")
    return call_id if isinstance(call_id, str) else None
