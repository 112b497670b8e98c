"""When the graphs inside a run begin and end: the stream mode `lifecycle`, which LangGraph has not.

It is told from the tasks that LangGraph streams: a graph inside begins with its first chunk, and ends with the task of
its parent that holds it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from slipway.execution.failures import shown_error

Namespace = tuple[str, ...]


class SubgraphEvents:
    """Give it the chunks of one run in order; it gives the namespace and the data of each event."""

    def __init__(self) -> None:
        self._open: set[Namespace] = set()
        self._calls: dict[Namespace, str] = {}

    def of(self, namespace: Sequence[str], mode: str, payload: Any) -> Iterator[tuple[Namespace, dict[str, Any]]]:
        """What this chunk begins or ends."""
        for depth in range(1, len(namespace) + 1):
            inside = tuple(namespace[:depth])
            if inside not in self._open:
                self._open.add(inside)
                yield inside, self._event("started", inside)
        if mode != "tasks":
            return
        task = (*namespace, f"{payload['name']}:{payload['id']}")
        if "triggers" in payload:
            if (call := _call_in(payload.get("input"))) is not None:
                self._calls[task] = call
            return
        if task in self._open:
            self._open.discard(task)
            yield task, self._event(_end_status(payload), task, payload.get("error"))
        self._calls.pop(task, None)

    def _event(self, word: str, inside: Namespace, error: Any = None) -> dict[str, Any]:
        event: dict[str, Any] = {"event": word, "namespace": list(inside)}
        if inside in self._calls:
            event["tool_call_id"] = self._calls[inside]
        if error is not None:
            event["error"] = shown_error(error)
        return event


def _end_status(payload: Mapping[str, Any]) -> str:
    if payload.get("interrupts"):
        return "interrupted"
    return "completed" if payload.get("error") is None else "failed"


def _call_in(given: Any) -> str | None:
    """The tool call that a task is for: it was sent for one, or its messages end with one."""
    if not isinstance(given, Mapping):
        return None
    call = given.get("tool_call")
    if isinstance(call, Mapping):
        return _ident(call)
    messages = given.get("messages")
    calls = getattr(messages[-1], "tool_calls", None) if isinstance(messages, list) and messages else None
    return _ident(calls[0]) if calls and len(calls) == 1 else None


def _ident(call: Mapping[str, Any]) -> str | None:
    ident = call.get("id")
    return ident if isinstance(ident, str) else None
