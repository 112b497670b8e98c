"""Collects what settling a run needs from the stream of its graph: the last state, interrupts and the failed node."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from langgraph.checkpoint.serde.types import INTERRUPT

from slipway.execution.state_json import StateJson
from slipway.redaction.redact import redact_json
from slipway.serialization.json_encoding import dumps_in_turns


@dataclass(slots=True)
class StreamObserver:
    """Receives the chunks of the root graph in the modes that are always streamed."""

    values: Any = None
    """The last state. After a superstep with interrupts it has the key `INTERRUPT`."""
    received_values: bool = False
    interrupts: dict[str, list[Any]] = field(default_factory=dict)
    """Interrupts by task id."""
    asking_nodes: dict[str, str] = field(default_factory=dict)
    """The nodes of the tasks with interrupts, by task id."""
    pending_interrupts: list[Any] = field(default_factory=list)
    """All interrupts in the order in which they arrived."""
    breakpoint: bool = False
    completed_tasks: int = 0
    failed_node: str | None = None
    state_json: StateJson = field(default_factory=StateJson)

    @property
    def is_interrupted(self) -> bool:
        return bool(self.pending_interrupts or self.breakpoint)

    def on_values(self, payload: Any) -> None:
        """Handles a chunk of the mode `values`: the state after a superstep."""
        self.values, self.received_values = payload, True
        self.state_json.renew(payload)
        if isinstance(payload, dict) and payload.get(INTERRUPT):
            self.pending_interrupts.extend(payload[INTERRUPT])

    def on_updates(self, payload: Any) -> None:
        """Handles a chunk of the mode `updates`. An empty list of interrupts means a breakpoint."""
        if isinstance(payload, dict) and payload.get(INTERRUPT) == ():
            self.breakpoint = True

    def on_task_end(self, payload: dict[str, Any]) -> None:
        """Handles a chunk of the mode `tasks` that reports the end of a task."""
        if payload["interrupts"]:
            self.interrupts[payload["id"]] = payload["interrupts"]
            self.asking_nodes[payload["id"]] = payload["name"]
        elif payload["error"] is not None:
            self.failed_node = payload["name"]
        else:
            self.completed_tasks += 1

    def values_without_interrupts(self) -> Any:
        if isinstance(self.values, dict) and INTERRUPT in self.values:
            return {name: value for name, value in self.values.items() if name != INTERRUPT}
        return self.values

    async def values_json(self) -> bytes:
        """The last state as JSON, without interrupts."""
        return await self.state_json.dumps_in_turns(self.values_without_interrupts())

    async def result(self) -> bytes:
        """What `wait` and `join` return, as JSON. Never null."""
        values = self.values_without_interrupts()
        if self.pending_interrupts:
            members = values if isinstance(values, dict) else {}
            return redact_json(await dumps_in_turns({**members, INTERRUPT: self.pending_interrupts}))
        return b"{}" if values is None else await self.values_json()
