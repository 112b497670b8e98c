"""The ids under which clients, reviews and records know the questions and the tasks of a thread that was moved to
another version of its graph.

LangGraph makes the ids of tasks of the id of their checkpoint, and the id of a question of the id of its task. A move
stores another checkpoint, so it would give an open question another id: an answer that names the question would find
none, and a question that is asked again would look like another one. The metadata of a moved checkpoint says which ids
its tasks had (`thread_moves/rewriting.py`). While an attempt executes, LangGraph makes the ids of their questions of
those.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextvars import ContextVar
from typing import Any, Final

from langgraph import types as langgraph_types
from langgraph.pregel import _algo

from slipway.checkpoints.task_ids import namespace_of_call

OF_MOVE: Final = "slipway_migration"
"""The member of a checkpoint's metadata that says how a move has made it. It exists in the root graph's only."""

_INTERRUPT_ID: Final[Any] = vars(langgraph_types)["_interrupt_id"]


class MovedIds:
    """Those of the checkpoints that an attempt has read."""

    __slots__ = ("_namespaces", "_tasks")

    def __init__(self) -> None:
        self._tasks: dict[str, str] = {}
        self._namespaces: dict[str, str] = {}

    def read(self, metadata: Mapping[str, Any]) -> None:
        """Collects them from the metadata of a checkpoint. Does nothing for one that no move has made."""
        move = metadata.get(OF_MOVE)
        if move:
            self._tasks |= move.get("tasks") or {}
            self._namespaces |= move.get("namespaces") or {}

    @property
    def empty(self) -> bool:
        """Whether no checkpoint was the work of a move."""
        return not self._tasks

    def task(self, task_id: str) -> str:
        """The id that the task had before its thread was moved; that of any other task is returned unchanged."""
        return self._tasks.get(task_id, task_id)

    def namespace(self, namespace: str) -> str:
        """The same for the namespace of a task, with or without the number of a question behind it."""
        found = self._namespaces.get(namespace)
        if found is None and self._namespaces:
            task, _, number = namespace.rpartition("|")
            if number.isdigit() and task in self._namespaces:
                return f"{self._namespaces[task]}|{number}"
        return namespace if found is None else found


CURRENT_MOVED_IDS: Final[ContextVar[MovedIds | None]] = ContextVar("current_moved_ids", default=None)
"""Those of the attempt that executes."""


def known_task(task_id: str) -> str:
    """The id under which records of the current attempt's thread know a task: that from before its thread was moved."""
    moved = CURRENT_MOVED_IDS.get()
    return task_id if moved is None else moved.task(task_id)


def known_namespace(namespace: str) -> str:
    """The same for the namespace of a task, in which its node has the name from before the move as well."""
    moved = CURRENT_MOVED_IDS.get()
    return namespace if moved is None else moved.namespace(namespace)


def known_node(node: str, task_id: str) -> tuple[str, str]:
    """The node and the id of a task of the root graph, as they were before its thread was moved."""
    moved = CURRENT_MOVED_IDS.get()
    if moved is None or moved.empty:
        return node, task_id
    known, _, known_id = moved.namespace(namespace_of_call("", node, task_id)).rpartition(":")
    return (known, known_id) if known_id != task_id else (node, moved.task(task_id))


def keep_ids_of_questions() -> None:
    """From now on, an attempt at a moved thread asks its questions under the ids that they had. A repeated call does
    nothing."""
    setattr(langgraph_types, "_interrupt_id", _interrupt_id)  # noqa: B010  mypy knows no replaced function
    setattr(_algo, "_interrupt_id", _interrupt_id)  # noqa: B010


def _interrupt_id(namespace: str, answered: int) -> str:
    moved = CURRENT_MOVED_IDS.get()
    known = namespace if moved is None else moved.namespace(namespace)
    found: str = _INTERRUPT_ID(known, answered)
    return found
