"""Records of runs for tests of traces."""

from __future__ import annotations

from typing import Any

from slipway.run_options import RunOptions
from slipway.runs.record import Phase, Run, new_id


def run_of(**differs: Any) -> Run:
    """A run that executes, with these fields."""
    fields: dict[str, Any] = {
        "run_id": new_id(),
        "thread_id": new_id(),
        "assistant_id": new_id(),
        "graph_id": "steps",
        "incarnation": "1",
        "updated_us": 1,
        "metadata": {},
        "options": RunOptions(),
        "ceilings": {},
        "multitask_strategy": "enqueue",
        "phase": Phase.RUNNING,
        "reason": None,
        "attempt": 0,
        "uncounted_attempts": 0,
        "no_checkpoints": False,
        "usage": {},
        "error": None,
        "resumes": None,
        "resumed_by": None,
        "cancel": None,
        "cancel_cause": None,
        "cancel_reason": None,
    }
    return Run(**(fields | differs))
