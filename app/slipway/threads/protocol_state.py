"""Converts LangGraph's state snapshots to the protocol's ThreadState, Task and Interrupt."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from langchain_core.runnables import RunnableConfig
from langgraph.types import Interrupt, PregelTask, StateSnapshot

_SECRET_WORDS: Final = ("key", "token", "secret", "password", "auth", "credential", "cookie")
"""Metadata is not public if its name contains one of these words. LangGraph keeps the same names out of traces."""
_NAMES_OF_GRAPHS: Final = frozenset({"parents", "checkpoint_map", "counters_since_delta_snapshot"})
"""Metadata whose members are named after nodes or channels. Such a name may contain a secret word by chance: `author`
contains `auth`."""
_CHECKPOINT_REF_FIELDS: Final = ("thread_id", "checkpoint_ns", "checkpoint_id")


def public_state(state: StateSnapshot) -> dict[str, Any]:
    """The protocol's ThreadState object."""
    checkpoint, parent = checkpoint_ref(state.config), checkpoint_ref(state.parent_config)
    if state.created_at is None:  # no checkpoint is stored
        checkpoint = None
    return {
        "values": {} if state.values is None else state.values,
        "next": list(state.next),
        "tasks": [_task(task) for task in state.tasks],
        "metadata": None if state.metadata is None else public_metadata(state.metadata) | thread_metadata(checkpoint),
        "created_at": state.created_at,
        "checkpoint": checkpoint,
        "parent_checkpoint": parent,
        "interrupts": [_interrupt(interrupt) for interrupt in state.interrupts],
        "checkpoint_id": checkpoint["checkpoint_id"] if checkpoint else None,
        "parent_checkpoint_id": parent["checkpoint_id"] if parent else None,
    }


CheckpointRef = dict[str, Any]
"""A checkpoint as clients name it: any of checkpoint_id, checkpoint_ns, checkpoint_map and thread_id."""


def checkpoint_ref(config: RunnableConfig | None) -> CheckpointRef | None:
    """The checkpoint that a config names. Only a subgraph's has a `checkpoint_map`."""
    configurable = (config or {}).get("configurable")
    if not configurable:
        return None
    reference = {name: configurable.get(name) for name in _CHECKPOINT_REF_FIELDS}
    reference["checkpoint_ns"] = reference["checkpoint_ns"] or ""
    if configurable.get("checkpoint_map"):
        reference["checkpoint_map"] = configurable["checkpoint_map"]
    return reference


def thread_metadata(reference: Mapping[str, Any] | None) -> dict[str, Any]:
    """The member of a checkpoint's public metadata that is not stored with it."""
    return {"thread_id": reference["thread_id"]} if reference else {}


def public_metadata(metadata: Mapping[str, Any]) -> dict[str, Any]:
    """A checkpoint's metadata without secrets, at any depth, and without LangGraph's internal members."""
    return {
        name: value if name in _NAMES_OF_GRAPHS else _public(value)
        for name, value in metadata.items()
        if not name.startswith("__") and not _is_secret(name)
    }


def _public(value: Any) -> Any:
    if isinstance(value, list):
        return [_public(item) for item in value]
    if isinstance(value, dict):
        return {name: _public(member) for name, member in value.items() if not _is_secret(name)}
    return value


def _is_secret(name: Any) -> bool:
    return isinstance(name, str) and any(word in name.casefold() for word in _SECRET_WORDS)


def status_of(state: StateSnapshot) -> str:
    """The status of an idle thread with this state."""
    return "interrupted" if state.next else "idle"


def interrupts_of(state: StateSnapshot) -> dict[str, list[dict[str, Any]]]:
    """The interrupts of each task, by task id."""
    return {task.id: _interrupts(task.interrupts) for task in state.tasks if task.interrupts}


def _task(task: PregelTask) -> dict[str, Any]:
    nested = task.state if isinstance(task.state, StateSnapshot) else None
    reference = checkpoint_ref(task.state) if isinstance(task.state, dict) else None
    return {
        "id": task.id,
        "name": task.name,
        "path": list(task.path),
        "error": None if task.error is None else _error(task.error),
        "interrupts": _interrupts(task.interrupts),
        # a state that is included has its own reference
        "checkpoint": {name: value for name, value in reference.items() if value is not None} if reference else None,
        "state": public_state(nested) if nested else None,
        "result": task.result,
    }


def _error(error: object) -> str:
    return error if isinstance(error, str) else repr(error)


def _interrupts(interrupts: Iterable[Interrupt[Any]]) -> list[dict[str, Any]]:
    return [_interrupt(interrupt) for interrupt in interrupts]


def _interrupt(interrupt: Interrupt[Any]) -> dict[str, Any]:
    public = {"id": interrupt.id, "value": interrupt.value}
    schema = interrupt.response_schema
    return public if schema is None else public | {"response_schema": schema}
