"""What is stored of a move, and what decides about one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from slipway.graph_versions.pin import Pin
from slipway.graphs.verdict import Verdict, VerdictKind
from slipway.serialization.json_encoding import dumps
from slipway.thread_moves.rewriting import Rewritten


@dataclass(frozen=True, slots=True)
class MovePlan:
    """The verdict about one thread, and what a move would store."""

    verdict: Verdict
    rewritten: Rewritten | None = None
    """None if the newest checkpoint is continued as it is."""
    values: dict[str, Any] | None = field(default=None)
    """The values of the rewritten checkpoint. None without one."""
    newest: str = ""
    """The id of the newest checkpoint of the graph. Empty if there is none."""

    @property
    def holds(self) -> bool:
        return self.verdict.kind is VerdictKind.HOLD

    @property
    def original(self) -> str | None:
        """The ids of the rewritten checkpoint and of its original, as the record of the thread has them."""
        if self.rewritten is None:
            return None
        new = self.rewritten.checkpoints[0]
        return f"{new.checkpoint['id']} {new.parent_id}"


def move_entry(old: Pin, new: Pin, plan: MovePlan, *, at: str, by: str) -> str:
    """One move as JSON: `from`, `to`, `from_schema`, `to_schema`, `at`, `by`, `verdict`, `newest` (the id of the newest
    checkpoint before the move), and `checkpoint` if one was stored. `old` and `new` are the pins of the thread."""
    members = {"from": old.version, "to": new.version, "at": at, "by": by, "verdict": plan.verdict.kind.value}
    members |= {"from_schema": old.schema, "to_schema": new.schema, "newest": plan.newest}
    if plan.rewritten is not None:
        members["checkpoint"] = plan.rewritten.checkpoints[0].checkpoint["id"]
    return dumps(members).decode()


def sentence_of(verdict: Verdict) -> str:
    """Its reasons as one sentence."""
    texts: Sequence[str] = [reason.text for reason in verdict.reasons]
    return "; ".join(texts) or verdict.kind.value
