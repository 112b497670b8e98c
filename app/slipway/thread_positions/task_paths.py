"""The task of a graph that a pending write belongs to, from the path that is stored with the write."""

from __future__ import annotations

from typing import Final, NamedTuple

_PULL: Final = "~__pregel_pull, "
_PUSH: Final = "~__pregel_push, "
_ERROR_HANDLER: Final = ", node_error_handler, "
_CALL_PARTS: Final = 2
"""What follows the path of the caller in that of a call: the number of the call, and a flag."""


class TaskPath(NamedTuple):
    """A task of the graph, or a call of a function with `@task` inside it."""

    node: str | None
    """None for a task that `Send` has started."""
    send: int | None
    """The position of the `Send` in the checkpoint."""
    is_call: bool


def task_path(text: str) -> TaskPath | None:
    """None for a path of another form: writes of an input, and marks, have none."""
    depth = 0
    while text.startswith(_PUSH):
        text, depth = text[len(_PUSH) :], depth + 1
    if text.startswith(_PULL):
        node = text[len(_PULL) :].partition(_ERROR_HANDLER)[0]
        return TaskPath(node.rsplit(", ", _CALL_PARTS * depth)[0] if depth else node, None, depth > 0)
    number = text.partition(", ")[0]
    return TaskPath(None, int(number), depth > 1) if depth and number.isdecimal() else None
