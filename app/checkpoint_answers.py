"""A person's plain answer counts once, also when the attempt that took it dies.

LangGraph keeps a plain answer (`Command(resume=…)`) as a write of no task beside the checkpoint, and a node that takes
it stores it again as its own. Both stay until the next checkpoint. If the attempt dies in between, a node that asks a
second time would be given the first answer once more. So in the group that stores a task's new answer, the one of no
task is replaced by a mark that LangGraph passes over.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from langgraph.checkpoint.base import WRITES_IDX_MAP, PendingWrite
from langgraph.checkpoint.serde.types import RESUME

NULL_TASK: Final = "00000000-0000-0000-0000-000000000000"
"""The task id of writes that no task made: inputs, commands and plain answers."""

SPENT: Final = "__no_writes__"
"""A channel that LangGraph knows and passes over."""

FIELD: Final = f"{NULL_TASK}\0{WRITES_IDX_MAP[RESUME]}"


class Answers:
    """How many answers each task of the checkpoints that were read has had, and whether a plain one lies there."""

    def __init__(self) -> None:
        self._taken: dict[str, int] = {}
        self._plain = False

    def read(self, writes: Iterable[PendingWrite]) -> None:
        """Remember the answers among a checkpoint's pending writes."""
        for task_id, channel, value in writes:
            if channel == RESUME:
                self._note(task_id, value)

    def _note(self, task_id: str, value: Any) -> None:
        if task_id == NULL_TASK:
            self._plain = True
        else:
            self._taken[task_id] = _count(value)

    def take_plain(self, task_id: str, writes: Sequence[tuple[str, Any]]) -> bool:
        """Whether these writes of a task hold one answer more than it had: the plain one, which is spent now."""
        had, plain = self._taken.get(task_id, 0), self._plain
        for channel, value in writes:
            if channel == RESUME:
                self._note(task_id, value)
        if task_id == NULL_TASK or not plain or self._taken.get(task_id, 0) <= had:
            return False
        self._plain = False
        return True


def root_of(target: Mapping[str, Any]) -> str | None:
    """The id of the root graph's checkpoint that a configurable belongs to."""
    if not target.get("checkpoint_ns"):
        return str(target["checkpoint_id"])
    root = (target.get("checkpoint_map") or {}).get("")
    return None if root is None else str(root)


def _count(value: Any) -> int:
    return len(value) if isinstance(value, list) else 1
