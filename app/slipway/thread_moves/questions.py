"""The open questions in the record of a thread that moves. They are stored by the ids of their tasks, which a move
changes."""

from __future__ import annotations

from collections.abc import Mapping

from slipway.serialization.at_rest import opened_json, sealed
from slipway.serialization.json_encoding import dumps
from slipway.serialization.places import THREAD


def moved_questions(stored: bytes, tasks: Mapping[str, str]) -> bytes:
    """The interrupts of a thread as its record has them, under the ids that their tasks have now. `tasks` are these ids
    by the ids before. The questions of a task that has none are left out: the new checkpoint does not have the task."""
    questions = opened_json(stored, THREAD)
    moved = {tasks[task]: asked for task, asked in questions.items() if task in tasks}
    return sealed(dumps(moved), THREAD)
