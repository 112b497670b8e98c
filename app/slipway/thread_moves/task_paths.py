"""The paths of tasks as they are stored with their writes, and the id of a checkpoint that follows another one."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

PULL: Final = "__pregel_pull"
PUSH: Final = "__pregel_push"

_PULL_PATH: Final = re.compile(rf"~{PULL}, (?P<node>.+)", re.DOTALL)
_SEND_PATH: Final = re.compile(rf"~{PUSH}, (?P<index>\d{{10}}), 0000000000")
_CALL_PATH: Final = re.compile(rf"~{PUSH}, (?P<caller>~.+), (?P<index>\d{{10}}), 0000000001", re.DOTALL)


@dataclass(frozen=True, slots=True)
class TaskPath:
    """What made a task: a node, a `Send`, or a call of a function with `@task`."""

    text: str
    """As it is stored with the writes of the task."""
    node: str = ""
    """The node, if its channels have triggered it."""
    send: int | None = None
    """The position of the `Send`."""
    caller: str = ""
    """The path of the task that has called the function."""
    call: int = 0
    """The position of the call among those of the caller."""


def parsed(text: str) -> TaskPath | None:
    """None for a path of another kind, such as that of an error handler."""
    if found := _CALL_PATH.fullmatch(text):
        return TaskPath(text, caller=found["caller"], call=int(found["index"]))
    if found := _SEND_PATH.fullmatch(text):
        return TaskPath(text, send=int(found["index"]))
    if found := _PULL_PATH.fullmatch(text):
        return TaskPath(text, node=found["node"])
    return None


def node_path(node: str) -> str:
    """The path of a task of a node."""
    return f"~{PULL}, {node}"


def call_path(caller: str, call: int) -> str:
    """The path of a call."""
    return f"~{PUSH}, {caller}, {call:010d}, 0000000001"


def later_id(checkpoint_id: str, new: str) -> str:
    """`new`, an id of a checkpoint, unless it sorts before `checkpoint_id`, as when clocks differ: then the one that
    follows `checkpoint_id`."""
    if new > checkpoint_id:
        return new
    digits = f"{int(checkpoint_id.replace('-', ''), 16) + 1:032x}"
    return "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))
