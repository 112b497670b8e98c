"""The results of tasks that were stored beside a checkpoint before its superstep had ended.

LangGraph does not execute these tasks again when the superstep is continued.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from langgraph.checkpoint.base import PendingWrite
from langgraph.checkpoint.serde.types import ERROR, INTERRUPT, RESUME

from slipway.checkpoints.interrupt_answers import NULL_TASK

RETURN: Final = "__return__"
"""The channel of the value that a called task returned."""

_ABOUT_A_TASK: Final = frozenset({ERROR, INTERRUPT, RESUME, "__error_source_node__"})
"""Channels of errors, interrupts and answers: not results."""

Writes = list[tuple[str, object]]


class StoredResults:
    """The results in all checkpoints that an attempt has read."""

    def __init__(self) -> None:
        self._unread: list[Iterable[PendingWrite]] = []
        self._by_task: dict[str, Writes] = {}

    def __bool__(self) -> bool:
        """Whether there may be results."""
        return bool(self._unread or self._by_task)

    def add(self, writes: Iterable[PendingWrite]) -> None:
        """Adds the pending writes of a checkpoint. The first `writes_of` sorts them: most attempts never call it."""
        self._unread.append(writes)

    def writes_of(self, task_id: str) -> Writes | None:
        """The writes of a task; None if it did not finish."""
        while self._unread:
            self._by_task |= _by_task(self._unread.pop(0))
        return self._by_task.get(task_id)


def _by_task(writes: Iterable[PendingWrite]) -> dict[str, Writes]:
    found: dict[str, Writes] = {}
    for task_id, channel, value in writes:
        if channel not in _ABOUT_A_TASK and task_id != NULL_TASK:
            found.setdefault(task_id, []).append((channel, value))
    return found
