"""An answer to an interrupt is used once, also when the attempt that received it dies.

LangGraph stores a plain answer (`Command(resume=…)`) beside the checkpoint, as a write without a task. A task that
receives the answer stores it again as its own write. Both remain until the next checkpoint. If the attempt died in
between, a node that interrupts a second time would receive the first answer again. Therefore the write group that
stores a task's answer also replaces the write without a task by a mark, which LangGraph ignores.

LangGraph does not store answers that name their interrupts (a map of interrupt id to answer). The next attempt passes
the map again, and LangGraph would use the answer to a task's first interrupt for its later interrupts too. Therefore
the same write group stores, beside the root graph's checkpoint, which interrupts of the task were answered, and the
next attempt omits these answers (`unconsumed_answers`).

An earlier run may have stored its command beside the same checkpoint, because a node that interrupts again stays at its
checkpoint. Therefore a run that stores its command marks that as well, and each mark has the id of its run as its value
(`is_command_stored`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, TypeGuard

from langgraph.checkpoint.base import PendingWrite
from langgraph.checkpoint.serde.types import INTERRUPT, RESUME

NULL_TASK: Final = "00000000-0000-0000-0000-000000000000"
"""The task id of writes without a task: inputs, commands and plain answers."""

_ID_DIGITS: Final = 32
_HEX: Final = frozenset("0123456789abcdef")

_NOTED: Final = frozenset({RESUME, INTERRUPT})

MARK: Final = "__no_writes__"
"""The channel of the marks. LangGraph has it and ignores its values. The task id is that of a consumed interrupt,
`NULL_TASK` for a plain answer, or the id of the run that has stored its command. The value is the id of the run, or
None if an earlier release has stored the mark."""


class InterruptAnswers:
    """The answers and interrupts of each task in the checkpoints that were read, and whether a plain answer is
    stored."""

    def __init__(self) -> None:
        self._answer_counts: dict[str, int] = {}
        self._interrupt_ids: dict[str, list[str]] = {}
        self._plain = False

    def read(self, writes: Iterable[PendingWrite]) -> None:
        """Collects the answers and interrupts among a checkpoint's pending writes."""
        for task_id, channel, value in writes:
            self._note(task_id, channel, value)

    def _note(self, task_id: str, channel: str, value: Any) -> None:
        if channel == RESUME and task_id == NULL_TASK:
            self._plain = True
        elif channel == RESUME:
            self._answer_counts[task_id] = _count(value)
        elif channel == INTERRUPT:
            self._interrupt_ids[task_id] = (
                [interrupt.id for interrupt in value] if isinstance(value, (list, tuple)) else [value.id]
            )

    def marks(self, task_id: str, writes: Sequence[tuple[str, Any]], run_id: str) -> list[str]:
        """The task ids of the marks that belong to these writes of a task of this run."""
        consumed = [] if _NOTED.isdisjoint([channel for channel, _ in writes]) else self.consume(task_id, writes)
        return [*consumed, run_id] if task_id == NULL_TASK and run_id else consumed

    def consume(self, task_id: str, writes: Sequence[tuple[str, Any]]) -> list[str]:
        """What a task's writes consume if they contain one more answer than before: the ids of the answered interrupts,
        or `NULL_TASK` for a plain answer; empty otherwise."""
        count, interrupt_ids = self._answer_counts.get(task_id, 0), self._interrupt_ids.get(task_id, [])
        for channel, value in writes:
            self._note(task_id, channel, value)
        if task_id == NULL_TASK or self._answer_counts.get(task_id, 0) <= count:
            return []
        if self._plain:
            self._plain = False
            return [NULL_TASK]
        return interrupt_ids


def is_answer_map(resume: Any) -> TypeGuard[dict[str, Any]]:
    """Whether answers name their interrupts, by LangGraph's rule."""
    return isinstance(resume, dict) and bool(resume) and all(_is_id(name) for name in resume)


def unconsumed_answers(resume: Mapping[str, Any], writes: Iterable[PendingWrite]) -> dict[str, Any]:
    """The answers that no task has consumed. `writes` are those of the root graph's checkpoint."""
    consumed = {task_id for task_id, channel, _ in writes if channel == MARK}
    return {interrupt_id: answer for interrupt_id, answer in resume.items() if interrupt_id not in consumed}


def is_command_stored(writes: Iterable[PendingWrite], run_id: str) -> bool:
    """Whether this run has stored its command among these writes. Runs of earlier releases stored no mark."""
    marked = {value for _, channel, value in writes if channel == MARK and value is not None}
    return run_id in marked if marked else any(task_id == NULL_TASK for task_id, _, _ in writes)


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
