"""How an attempt can end, why it can be stopped, and what the stream of its graph says about its end."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final

from langgraph.checkpoint.serde.types import INTERRUPT
from langgraph.types import StateSnapshot

from slipway.runs.failure import Failure
from slipway.runs.record import Phase
from slipway.runs.settlement import ThreadSummary
from slipway.serialization.json_encoding import dumps


class StopReason(StrEnum):
    """Why the server stopped an attempt."""

    CANCEL = "cancel"
    """A client cancelled the run."""
    CEILING = "ceiling"
    """The timer of a ceiling ended."""
    DRAIN = "drain"
    """The process stops, or the budget of an inline run is used."""
    LOST = "lost"
    """The attempt no longer owns its run, or Redis is unavailable."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """How an attempt ended. `phase` is None if the run did not end: it is released, or was lost."""

    phase: Phase | None
    stop: StopReason | None = None
    failure: Failure | None = None
    problem: str = ""
    """Why the run was lost, for the log."""
    repeats_superstep: bool = False
    """Whether the next attempt executes a superstep again of which clients may have events."""


LOST: Final = Outcome(None, StopReason.LOST)
"""The attempt no longer owns its run, or Redis is unavailable."""
DRAINED: Final = Outcome(None, StopReason.DRAIN)
"""Stopped between two supersteps, to be released."""
STOPPED_WITHIN_SUPERSTEP: Final = Outcome(None, StopReason.DRAIN, repeats_superstep=True)
"""Stopped within a superstep, to be released."""
CANCELLED: Final = Outcome(Phase.CANCELLED, StopReason.CANCEL)


@dataclass(slots=True)
class StreamObserver:
    """Collects from the stream of the root graph what the end of the run needs, whichever modes clients requested."""

    values: Any = None
    """The last state; it has the key `INTERRUPT` after a superstep with interrupts."""
    received_values: bool = False
    interrupts: dict[str, list[Any]] = field(default_factory=dict)
    """Interrupts by task id."""
    pending_interrupts: list[Any] = field(default_factory=list)
    """All interrupts in the order in which they arrived."""
    breakpoint: bool = False
    completed_tasks: int = 0
    failed_node: str | None = None

    @property
    def is_interrupted(self) -> bool:
        return bool(self.pending_interrupts or self.breakpoint)

    def on_values(self, payload: Any) -> None:
        """Takes a chunk of the mode `values`: the state after a superstep."""
        self.values, self.received_values = payload, True
        if isinstance(payload, dict) and payload.get(INTERRUPT):
            self.pending_interrupts.extend(payload[INTERRUPT])

    def on_updates(self, payload: Any) -> None:
        """Takes a chunk of the mode `updates`. An empty list of interrupts is a breakpoint."""
        if isinstance(payload, dict) and payload.get(INTERRUPT) == ():
            self.breakpoint = True

    def on_task_end(self, payload: dict[str, Any]) -> None:
        """Takes a chunk of the mode `tasks` with which a task ends."""
        if payload["interrupts"]:
            self.interrupts[payload["id"]] = payload["interrupts"]
        elif payload["error"] is not None:
            self.failed_node = payload["name"]
        else:
            self.completed_tasks += 1

    def values_without_interrupts(self) -> Any:
        if isinstance(self.values, dict) and INTERRUPT in self.values:
            return {name: value for name, value in self.values.items() if name != INTERRUPT}
        return self.values

    def result(self) -> str:
        """What `wait` and `join` return, as JSON text; never null."""
        values = self.values_without_interrupts()
        if self.pending_interrupts:
            return dumps({**(values if isinstance(values, dict) else {}), INTERRUPT: self.pending_interrupts}).decode()
        return dumps({} if values is None else values).decode()


def summary_from_stream(observer: StreamObserver) -> ThreadSummary:
    interrupts = {task: [public_interrupt(item) for item in items] for task, items in observer.interrupts.items()}
    status = "interrupted" if observer.is_interrupted else "idle"
    return ThreadSummary(dumps(observer.values_without_interrupts()).decode(), dumps(interrupts).decode(), status)


def summary_from_snapshot(snapshot: StateSnapshot) -> ThreadSummary:
    """The summary of the newest checkpoint. A thread without a checkpoint has no values."""
    interrupted = (task for task in snapshot.tasks if task.interrupts)
    interrupts = {task.id: [public_interrupt(item) for item in task.interrupts] for task in interrupted}
    status = "interrupted" if snapshot.next else "idle"
    values = None if snapshot.created_at is None else snapshot.values
    return ThreadSummary(dumps(values).decode(), dumps(interrupts).decode(), status)


def public_interrupt(item: Any) -> dict[str, Any]:
    """An interrupt as thread records show it: with `response_schema` only if it has one."""
    names = ("id", "value", "response_schema")
    raw = item if isinstance(item, dict) else {name: getattr(item, name) for name in names}
    shown = {"id": raw["id"], "value": raw["value"]}
    return shown | ({"response_schema": raw["response_schema"]} if raw.get("response_schema") else {})
