"""A person's answer counts once, also when the attempt that took it dies.

LangGraph keeps a plain answer (`Command(resume=…)`) as a write of no task beside the checkpoint, and a node that takes
it stores it again as its own. Both stay until the next checkpoint. If the attempt dies in between, a node that asks a
second time would be given the first answer once more. So in the group that stores a task's new answer, the one of no
task is replaced by a mark that LangGraph passes over.

Answers that name their interrupts (a map of id to answer) are not kept at all: the next attempt gives the map again,
and LangGraph takes an answer to a task's first question for one to any later question of it too. So the same group
notes beside the root graph's checkpoint which interrupts of the task were answered, and the next attempt leaves these
out (`unconsumed_answers`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, TypeGuard

from langgraph.checkpoint.base import PendingWrite
from langgraph.checkpoint.serde.types import INTERRUPT, RESUME

NULL_TASK: Final = "00000000-0000-0000-0000-000000000000"
"""The task id of writes that no task made: inputs, commands and plain answers."""

_ID_DIGITS: Final = 32
_HEX: Final = frozenset("0123456789abcdef")

ANSWER_CONSUMED: Final = "__no_writes__"
"""A channel that LangGraph knows and passes over."""


class InterruptAnswers:
    """How many answers each task of the checkpoints that were read has had, what it asked last, and whether a plain
    answer lies there."""

    def __init__(self) -> None:
        self._taken: dict[str, int] = {}
        self._asked: dict[str, list[str]] = {}
        self._plain = False

    def read(self, writes: Iterable[PendingWrite]) -> None:
        """Remember the answers and questions among a checkpoint's pending writes."""
        for task_id, channel, value in writes:
            self._note(task_id, channel, value)

    def _note(self, task_id: str, channel: str, value: Any) -> None:
        if channel == RESUME and task_id == NULL_TASK:
            self._plain = True
        elif channel == RESUME:
            self._taken[task_id] = _count(value)
        elif channel == INTERRUPT:
            self._asked[task_id] = [asked.id for asked in value] if isinstance(value, (list, tuple)) else [value.id]

    def consume(self, task_id: str, writes: Sequence[tuple[str, Any]]) -> list[str]:
        """Whose answers are spent by these writes of a task, when they hold one more than it had: the ids of the
        interrupts that were answered, or `NULL_TASK` for a plain answer."""
        had, asked = self._taken.get(task_id, 0), self._asked.get(task_id, [])
        for channel, value in writes:
            self._note(task_id, channel, value)
        if task_id == NULL_TASK or self._taken.get(task_id, 0) <= had:
            return []
        if self._plain:
            self._plain = False
            return [NULL_TASK]
        return asked


def is_answer_map(resume: Any) -> TypeGuard[dict[str, Any]]:
    """Whether answers name their interrupts, as LangGraph tells it."""
    return isinstance(resume, dict) and bool(resume) and all(_is_id(name) for name in resume)


def unconsumed_answers(resume: Mapping[str, Any], writes: Iterable[PendingWrite]) -> dict[str, Any]:
    """The answers of a map that no task has taken yet; `writes` are those of the root graph's checkpoint."""
    spent = {task_id for task_id, channel, _ in writes if channel == ANSWER_CONSUMED}
    return {interrupt_id: answer for interrupt_id, answer in resume.items() if interrupt_id not in spent}


def root_of(target: Mapping[str, Any]) -> str | None:
    """The id of the root graph's checkpoint that a configurable belongs to."""
    if not target.get("checkpoint_ns"):
        return str(target["checkpoint_id"])
    root = (target.get("checkpoint_map") or {}).get("")
    return None if root is None else str(root)


def _count(value: Any) -> int:
    return len(value) if isinstance(value, list) else 1


def _is_id(name: Any) -> bool:
    return isinstance(name, str) and len(name) == _ID_DIGITS and set(name) <= _HEX
