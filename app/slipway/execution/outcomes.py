"""How an attempt ended, why it was stopped, what it saw, and the state it leaves on its thread."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final

from langgraph.types import StateSnapshot

from slipway.execution.failures import Failure
from slipway.runs.record import Phase
from slipway.serialization.json_encoding import dumps

INTERRUPT: Final = "__interrupt__"


class StopReason(StrEnum):
    """Why an attempt was stopped from outside."""

    CANCEL = "cancel"
    CEILING = "ceiling"
    DRAIN = "drain"
    LOST = "lost"


@dataclass(frozen=True, slots=True)
class Outcome:
    """How an attempt ended. `phase` is None when the run goes back to the queue, or is no longer ours."""

    phase: Phase | None
    stop: StopReason | None = None
    failure: Failure | None = None
    why: str = ""


LOST: Final = Outcome(None, StopReason.LOST)
DRAINED: Final = Outcome(None, StopReason.DRAIN)
CANCELLED: Final = Outcome(Phase.CANCELLED, StopReason.CANCEL)


@dataclass(slots=True)
class StreamObserver:
    """What the root graph's stream has shown, whether or not a client asked for it."""

    values: Any = None
    received_values: bool = False
    interrupts: dict[str, list[Any]] = field(default_factory=dict)
    pending_interrupts: list[Any] = field(default_factory=list)
    breakpoint: bool = False
    completed_tasks: int = 0
    failed_node: str | None = None

    @property
    def is_interrupted(self) -> bool:
        """Whether the graph stopped for somebody."""
        return bool(self.pending_interrupts or self.breakpoint)

    def on_values(self, payload: Any) -> None:
        """The state after a superstep, with what a node asks for, if one does."""
        self.values, self.received_values = payload, True
        if isinstance(payload, dict) and payload.get(INTERRUPT):
            self.pending_interrupts.extend(payload[INTERRUPT])

    def on_updates(self, payload: Any) -> None:
        """An empty list of interrupts is a breakpoint."""
        if isinstance(payload, dict) and payload.get(INTERRUPT) == ():
            self.breakpoint = True

    def on_task_end(self, payload: dict[str, Any]) -> None:
        """A node has returned, raised or asked."""
        if payload["interrupts"]:
            self.interrupts[payload["id"]] = payload["interrupts"]
        elif payload["error"] is not None:
            self.failed_node = payload["name"]
        else:
            self.completed_tasks += 1

    def values_without_interrupts(self) -> Any:
        """The state without what was asked."""
        if isinstance(self.values, dict) and INTERRUPT in self.values:
            return {name: value for name, value in self.values.items() if name != INTERRUPT}
        return self.values

    def result(self) -> str:
        """What `wait` and `join` answer with: always JSON, never null."""
        values = self.values_without_interrupts()
        if self.pending_interrupts:
            return dumps({**(values if isinstance(values, dict) else {}), INTERRUPT: self.pending_interrupts}).decode()
        return dumps({} if values is None else values).decode()


@dataclass(frozen=True, slots=True)
class ThreadSummary:
    """A thread's state as its record shows it: JSON texts, and the status it rests with."""

    values: str | None
    interrupts: str
    status: str

    @classmethod
    def seen(cls, seen: StreamObserver) -> ThreadSummary:
        """From the stream."""
        asked = {task: [shown_interrupt(item) for item in items] for task, items in seen.interrupts.items()}
        status = "interrupted" if seen.is_interrupted else "idle"
        return cls(dumps(seen.values_without_interrupts()).decode(), dumps(asked).decode(), status)

    @classmethod
    def of(cls, snapshot: StateSnapshot) -> ThreadSummary:
        """From the newest checkpoint; a thread without one has no values."""
        waiting = (task for task in snapshot.tasks if task.interrupts)
        asked = {task.id: [shown_interrupt(item) for item in task.interrupts] for task in waiting}
        status = "interrupted" if snapshot.next else "idle"
        values = None if snapshot.created_at is None else snapshot.values
        return cls(dumps(values).decode(), dumps(asked).decode(), status)


EMPTY_SUMMARY: Final = ThreadSummary(None, "{}", "idle")


def shown_interrupt(item: Any) -> dict[str, Any]:
    """An interrupt in a thread's record: `response_schema` only where there is one (protocol 2.5)."""
    names = ("id", "value", "response_schema")
    raw = item if isinstance(item, dict) else {name: getattr(item, name) for name in names}
    shown = {"id": raw["id"], "value": raw["value"]}
    return shown | ({"response_schema": raw["response_schema"]} if raw.get("response_schema") else {})
