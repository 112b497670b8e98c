"""The open questions in the record of a thread that moves. They are stored by the ids of their tasks, which a move
changes."""

from __future__ import annotations

from collections.abc import Mapping

import orjson

from slipway.serialization.compression import compressed, decompressed
from slipway.serialization.json_encoding import dumps


def moved_questions(stored: bytes, tasks: Mapping[str, str]) -> bytes:
    """The interrupts of a thread as its record has them, under the ids that their tasks have now. `tasks` are these ids
    by the ids before. The questions of a task that has none are left out: the new checkpoint does not have the task."""
    questions = orjson.loads(decompressed(stored))
    return compressed(dumps({tasks[task]: asked for task, asked in questions.items() if task in tasks}))
