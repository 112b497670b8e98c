"""Translates the event log of a run to events of the event protocol.

The events of the protocol are not stored. The translation is deterministic, and a log is only appended to. So every
client gets the same events with the same numbers, on every connection and after every crash. `protocol_event` describes
the numbers.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import orjson
import structlog
from langgraph.checkpoint.serde.types import INTERRUPT

from slipway.event_protocol.message_blocks import plain_messages
from slipway.event_protocol.message_translator import MessageTranslator
from slipway.event_protocol.protocol_event import Namespace, ProtocolEvent, base_number
from slipway.runs.events import Event
from slipway.runs.record import Phase
from slipway.serialization.json_encoding import dumps

log = structlog.get_logger(__name__)

MODES: Final = ("values", "updates", "messages-tuple", "tasks", "checkpoints/brief", "custom", "tools")
"""The stream modes of a run that the event protocol starts."""

_CUSTOM_PREFIX: Final = "custom:"
_RESUME_ERROR_MEMBERS: Final = ("reason", "interrupt_ids", "pending_ids")
"""The additional members of the error of a run whose answer was rejected."""


@dataclass(frozen=True, slots=True)
class TranslatedRun:
    """What the translation needs of a run. `started_ms` is None if the run was cancelled before it started. `answers`
    are the ids of the interrupts that the run answers. `modes` are its stream modes."""

    ordinal: int
    run_id: str
    graph_id: str
    started_ms: int | None
    answers: Sequence[str] = ()
    modes: frozenset[str] = frozenset()


@dataclass(slots=True)
class _Progress:
    """What was emitted so far about the state of the run."""

    started: bool = False
    open_subgraphs: dict[Namespace, None] = field(default_factory=dict)
    subgraphs: set[Namespace] = field(default_factory=set)
    interrupt_ids: set[str] = field(default_factory=set)
    is_interrupted: bool = False
    error: str | None = None
    error_members: dict[str, Any] = field(default_factory=dict)


class RunTranslator:
    """Receives the entries of one run's log in order, from the first one, and returns the events of each."""

    def __init__(self, run: TranslatedRun) -> None:
        self._run, self._seq, self._progress = run, base_number(run.ordinal), _Progress()
        self._now_ms = run.started_ms or 0
        self._pending_values: dict[Namespace, Any] = {}
        self._running_tasks: dict[Namespace, dict[str, str]] = {}
        self._events: list[ProtocolEvent] = []
        self._messages = messages = MessageTranslator(self._emit_message)
        self._handlers: dict[str, Callable[[Namespace, Any], None]] = {
            "values": self._on_values,
            "updates": self._on_updates,
            "messages": messages.on_message,
            "messages/metadata": messages.on_metadata,
            "messages/partial": messages.on_partial,
            "messages/complete": messages.on_complete,
            "tasks": self._on_task,
            "checkpoints": self._on_checkpoint,
            "checkpoints/brief": self._on_brief_checkpoint,
            "custom": self._on_custom,
            "tools": self._on_tool,
            "lifecycle": self._on_subgraph_lifecycle,
        }

    def apply(self, entry: Event) -> list[ProtocolEvent]:
        """The events of the next entry."""
        self._now_ms = max(self._now_ms, entry.position[0])
        name, *namespace = entry.name.split("|")
        if name == "metadata":
            self._on_attempt()
        elif name == "error":
            self._on_error(orjson.loads(entry.data))
        elif entry.is_end:
            end = orjson.loads(entry.data)
            self._on_end(end["status"], entry.result, waits=end.get("phase") == Phase.WAITING_FOR_APPROVAL)
        elif name.startswith(_CUSTOM_PREFIX):
            self._emit("custom", {"name": name.removeprefix(_CUSTOM_PREFIX), "payload": orjson.loads(entry.data)})
        elif name in self._handlers:
            self._handle(name, tuple(namespace), orjson.loads(entry.data))
        events, self._events = self._events, []
        return events

    def _handle(self, name: str, namespace: Namespace, data: Any) -> None:
        if not name.startswith("checkpoints"):
            self._emit_pending_values(namespace)
        for depth in range(1, len(namespace) + 1):
            self._subgraph_started(namespace[:depth])
        try:
            self._handlers[name](namespace, data)
        except (AttributeError, LookupError, TypeError, ValueError):  # a graph can stream data of any form
            log.warning("event_protocol.translation_failed", run=self._run.run_id, entry=name, exc_info=True)

    def _emit(
        self,
        method: str,
        data: dict[str, Any],
        namespace: Namespace = (),
        *,
        node: str | None = None,
        event_id: str | None = None,
        at_ms: int | None = None,
    ) -> None:
        self._seq += 1
        event_id = event_id or f"{self._run.run_id}-{self._seq - base_number(self._run.ordinal)}"
        self._events.append(ProtocolEvent(self._seq, event_id, method, namespace, at_ms or self._now_ms, data, node))

    def _emit_message(self, namespace: Namespace, data: dict[str, Any], node: str | None) -> None:
        self._emit("messages", data, namespace, node=node)

    # the lifecycle of the run

    def _emit_lifecycle(self, event: str, at_ms: int | None = None, **more: Any) -> None:
        data = {"event": event, "graph_name": self._run.graph_id, **more}
        self._emit("lifecycle", data, event_id=f"synth:{self._run.run_id}:lc||{event}", at_ms=at_ms)

    def _on_attempt(self) -> None:
        """Handles the event with which an attempt starts. The first attempt starts the run. A later attempt repeats
        what the earlier attempt had not finished."""
        if self._progress.started:
            self._running_tasks.clear()
            self._messages.fail_all("the attempt that produced this message ended; its node is executed again")
            return
        self._progress.started = True
        if self._run.started_ms is None:
            return
        self._now_ms = self._run.started_ms
        self._emit_lifecycle("running")
        if self._run.answers:
            event_id = f"synth:{self._run.run_id}:input||answered"
            self._emit("input.answered", {"interrupt_ids": list(self._run.answers)}, event_id=event_id)

    def _on_error(self, error: dict[str, Any]) -> None:
        self._progress.error = _message_of(error)
        self._progress.error_members = {name: error[name] for name in _RESUME_ERROR_MEMBERS if name in error}

    def _on_end(self, status: str, result: bytes | None, *, waits: bool) -> None:
        for namespace in list(self._pending_values):
            self._emit_pending_values(namespace)
        outcome = orjson.loads(result) if result else {}
        interrupts = outcome.get(INTERRUPT) if isinstance(outcome, dict) else None
        if isinstance(interrupts, list):
            self._emit_interrupts((), interrupts)
        self._progress.is_interrupted = self._progress.is_interrupted or waits
        if status == "success":
            self._messages.finish_all()
        self._messages.fail_all("the run ended before this message was complete")
        if status == "interrupted":  # cancelled
            self._close_subgraphs("interrupted")
            self._emit_lifecycle("interrupted")
            self._emit_lifecycle("failed", error="cancelled")
        elif status == "success":
            self._emit_success("interrupted" if self._progress.is_interrupted else "completed")
        else:
            self._close_subgraphs("failed")
            self._emit_lifecycle("failed", error=self._progress.error or status, **self._progress.error_members)

    def _emit_success(self, event: str) -> None:
        self._close_subgraphs(event)
        self._emit_lifecycle(event)
        if event == "interrupted" and not self._progress.interrupt_ids:
            # a breakpoint has no event `input.requested`, for which some clients wait
            self._emit_lifecycle("completed")

    # subgraphs

    def _subgraph_started(self, namespace: Namespace) -> None:
        if namespace in self._progress.subgraphs:
            return
        self._progress.subgraphs.add(namespace)
        self._progress.open_subgraphs[namespace] = None
        name, _, task_id = namespace[-1].partition(":")
        data: dict[str, Any] = {
            "event": "started",
            "namespace": [*namespace],
            "graph_name": name,
            "trigger_call_id": task_id,
        }
        self._emit("lifecycle", {key: value for key, value in data.items() if value}, namespace)

    def _subgraph_ended(self, namespace: Namespace, event: str, error: str | None = None) -> None:
        if namespace in self._progress.open_subgraphs:
            del self._progress.open_subgraphs[namespace]
            data = {"event": event, "graph_name": namespace[-1].partition(":")[0]}
            self._emit("lifecycle", data | ({"error": error} if error else {}), namespace)

    def _close_subgraphs(self, event: str) -> None:
        for namespace in reversed(list(self._progress.open_subgraphs)):
            self._subgraph_ended(namespace, event)

    def _on_subgraph_lifecycle(self, namespace: Namespace, data: Any) -> None:
        """Handles the end of a subgraph in a run that does not stream tasks. The start is not handled: a subgraph
        starts when its namespace appears for the first time."""
        if data["event"] != "started":
            self._subgraph_ended(namespace, data["event"], _message_of(data["error"]) if data.get("error") else None)

    # what graphs stream

    def _on_values(self, namespace: Namespace, data: Any) -> None:
        """Stores the values until the event of their checkpoint was emitted, because clients expect this order."""
        self._pending_values[namespace] = data
        if not self._run.modes & {"checkpoints", "checkpoints/brief"}:
            self._emit_pending_values(namespace)

    def _emit_pending_values(self, namespace: Namespace) -> None:
        if namespace not in self._pending_values:
            return
        data = self._pending_values.pop(namespace)
        interrupts = None
        if isinstance(data, dict):
            interrupts = data.get(INTERRUPT)
            data = {name: value for name, value in data.items() if name != INTERRUPT}
        self._emit("values", plain_messages(data), namespace)
        if isinstance(interrupts, list):
            self._emit_interrupts(namespace, interrupts)

    def _on_updates(self, namespace: Namespace, data: Any) -> None:
        for node, update in data.items():
            if node == INTERRUPT:  # empty at a breakpoint: the event `end` contains whether the run waits
                self._emit_interrupts(namespace, update)
            else:
                self._emit("updates", plain_messages(update), namespace, node=node)

    def _emit_interrupts(self, namespace: Namespace, interrupts: Sequence[Any]) -> None:
        """Emits each interrupt once, in the namespace where it is streamed first, which is where it was raised."""
        for item in interrupts:
            self._progress.is_interrupted = True
            if item["id"] in self._progress.interrupt_ids:
                continue
            self._progress.interrupt_ids.add(item["id"])
            event_id = f"synth:{self._run.run_id}:input|{'|'.join(namespace)}|{item['id']}"
            data = {"interrupt_id": item["id"], "payload": item["value"], "value": item["value"]}
            self._emit("input.requested", data, namespace, event_id=event_id)

    def _on_checkpoint(self, namespace: Namespace, data: Any) -> None:
        checkpoint = (data.get("config") or {}).get("configurable") or {}
        parent = (data.get("parent_config") or {}).get("configurable") or {}
        metadata = data.get("metadata") or {}
        brief = {
            "id": checkpoint.get("checkpoint_id"),
            "step": metadata.get("step"),
            "source": metadata.get("source"),
        }
        if parent.get("checkpoint_id"):
            brief["parent_id"] = parent["checkpoint_id"]
        self._on_brief_checkpoint(namespace, brief)

    def _on_brief_checkpoint(self, namespace: Namespace, data: Any) -> None:
        self._emit("checkpoints", data, namespace)
        self._emit_pending_values(namespace)

    def _on_task(self, namespace: Namespace, data: Any) -> None:
        self._emit("tasks", plain_messages(data), namespace)
        running = self._running_tasks.setdefault(namespace, {})
        if "result" not in data:
            running[data["id"]] = data["name"]
            return
        running.pop(data["id"], None)
        subgraph = (*namespace, f"{data.get('name')}:{data.get('id')}")
        self._messages.finish_task("|".join(subgraph))
        if data.get("interrupts"):
            self._subgraph_ended(subgraph, "interrupted")
        elif data.get("error"):
            self._subgraph_ended(subgraph, "failed", _message_of(data["error"]))
        else:
            self._subgraph_ended(subgraph, "completed")

    def _on_custom(self, namespace: Namespace, data: Any) -> None:
        """Emits the value that a node wrote, unchanged, because clients select channels by its member `name`. A value
        that is not an object becomes the member `payload`."""
        self._emit("custom", data if isinstance(data, dict) else {"payload": data}, namespace)

    def _on_tool(self, namespace: Namespace, data: Any) -> None:
        event = dict(_protocol_tool_event(data))
        if event.get("event") == "tool-output-delta" and not isinstance(event.get("delta"), str):
            event["delta"] = dumps(event.get("delta")).decode()
        nodes = set(self._running_tasks.get(namespace, {}).values())
        node = nodes.pop() if len(nodes) == 1 else None  # LangGraph does not name the node
        self._emit("tools", event, namespace, node=node)


_TOOL_EVENTS: Final = {
    "on_tool_start": ("tool-started", "input", "input"),
    "on_tool_event": ("tool-output-delta", "data", "delta"),
    "on_tool_end": ("tool-finished", "output", "output"),
    "on_tool_error": ("tool-error", "error", "message"),
}
"""By tool event in a log: the event of the protocol, and the names of the member with the content in both."""


def _protocol_tool_event(data: dict[str, Any]) -> dict[str, Any]:
    if data["event"] not in _TOOL_EVENTS:  # a log of an earlier release contains the events of the protocol
        return data
    event, log_member, protocol_member = _TOOL_EVENTS[data["event"]]
    named = {"tool_name": data["name"]} if event == "tool-started" else {}
    return {"event": event, "tool_call_id": data["toolCallId"], **named, protocol_member: data.get(log_member)}


def _message_of(error: Any) -> str:
    """The message of an error, or the name of its class if the message is empty."""
    if isinstance(error, dict):
        return str(error.get("message") or error.get("error"))
    return str(error)
