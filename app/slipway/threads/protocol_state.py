"""LangGraph's snapshots in the protocol's words: ThreadState, Task and Interrupt."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from langchain_core.runnables import RunnableConfig
from langgraph.types import Interrupt, PregelTask, StateSnapshot

_SECRET: Final = ("key", "token", "secret", "password", "auth", "credential", "cookie")
"""Metadata whose name has one of these in it is never shown, as LangGraph itself keeps such names out of traces."""
_NAMES_OF_GRAPHS: Final = frozenset({"parents", "checkpoint_map", "counters_since_delta_snapshot"})
"""Metadata whose members are named after nodes or channels, such as `author`."""
_PLACE: Final = ("thread_id", "checkpoint_ns", "checkpoint_id")


def shown(state: StateSnapshot) -> dict[str, Any]:
    """A ThreadState."""
    place, parent = place_of(state.config), place_of(state.parent_config)
    if state.created_at is None:  # nothing was ever stored there
        place = None
    return {
        "values": {} if state.values is None else state.values,
        "next": list(state.next),
        "tasks": [_task(task) for task in state.tasks],
        "metadata": None if state.metadata is None else open_metadata(state.metadata) | thread_of(place),
        "created_at": state.created_at,
        "checkpoint": place,
        "parent_checkpoint": parent,
        "interrupts": [_interrupt(interrupt) for interrupt in state.interrupts],
        "checkpoint_id": place["checkpoint_id"] if place else None,
        "parent_checkpoint_id": parent["checkpoint_id"] if parent else None,
    }


def place_of(config: RunnableConfig | None) -> dict[str, Any] | None:
    """Where a checkpoint is; `checkpoint_map` only where there is one, which is in subgraphs."""
    configurable = (config or {}).get("configurable")
    if not configurable:
        return None
    place = {name: configurable.get(name) for name in _PLACE}
    place["checkpoint_ns"] = place["checkpoint_ns"] or ""
    if configurable.get("checkpoint_map"):
        place["checkpoint_map"] = configurable["checkpoint_map"]
    return place


def thread_of(place: Mapping[str, Any] | None) -> dict[str, Any]:
    """What the metadata of the checkpoint at `place` says of its thread; it is not stored with the rest."""
    return {"thread_id": place["thread_id"]} if place else {}


def open_metadata(metadata: Mapping[str, Any]) -> dict[str, Any]:
    """A checkpoint's metadata without secrets, at any depth, and without LangGraph's own bookkeeping."""
    return {
        name: value if name in _NAMES_OF_GRAPHS else _open(value)
        for name, value in metadata.items()
        if not name.startswith("__") and not _is_secret(name)
    }


def _open(value: Any) -> Any:
    if isinstance(value, list):
        return [_open(item) for item in value]
    if isinstance(value, dict):
        return {name: _open(member) for name, member in value.items() if not _is_secret(name)}
    return value


def _is_secret(name: Any) -> bool:
    return isinstance(name, str) and any(word in name.casefold() for word in _SECRET)


def status_of(state: StateSnapshot) -> str:
    """The status of an idle thread with this state."""
    return "interrupted" if state.next else "idle"


def interrupts_of(state: StateSnapshot) -> dict[str, list[dict[str, Any]]]:
    """What is asked, by task id."""
    return {task.id: _interrupts(task.interrupts) for task in state.tasks if task.interrupts}


def _task(task: PregelTask) -> dict[str, Any]:
    nested = task.state if isinstance(task.state, StateSnapshot) else None
    place = place_of(task.state) if isinstance(task.state, dict) else None
    return {
        "id": task.id,
        "name": task.name,
        "path": list(task.path),
        "error": None if task.error is None else _error(task.error),
        "interrupts": _interrupts(task.interrupts),
        # a state that is shown says itself where it is
        "checkpoint": {name: value for name, value in place.items() if value is not None} if place else None,
        "state": shown(nested) if nested else None,
        "result": task.result,
    }


def _error(error: object) -> str:
    return error if isinstance(error, str) else repr(error)


def _interrupts(interrupts: Iterable[Interrupt[Any]]) -> list[dict[str, Any]]:
    return [_interrupt(interrupt) for interrupt in interrupts]


def _interrupt(interrupt: Interrupt[Any]) -> dict[str, Any]:
    asked = {"id": interrupt.id, "value": interrupt.value}
    schema = interrupt.response_schema
    return asked if schema is None else asked | {"response_schema": schema}
