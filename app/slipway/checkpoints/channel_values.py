"""Serializes channel values. An error names the channel and the node of a value that cannot be stored."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, TypeVar

from langgraph.checkpoint.serde.types import INTERRUPT, TASKS

from slipway.errors import StateRefused

_PULL: Final = "~__pregel_pull, "
"""The prefix in the path of a task whose node was triggered by channels."""

_NAMES: Final = {
    INTERRUPT: "the value of an interrupt",
    "__previous__": "what the entrypoint saves for its next run",
    "__return__": "what a task returned",
    TASKS: "a Send",
}
"""Descriptions of LangGraph's own channels, which the project's code does not name."""


T = TypeVar("T", bytes, str)


def dumped(dumps: Callable[[Any], T], channel: str, value: Any, task_path: str = "") -> T:
    """Calls `dumps`. Raises `StateRefused` with the channel, and with the node if `task_path` names one."""
    try:
        return dumps(value)
    except StateRefused as error:
        node = task_path.removeprefix(_PULL) if task_path.startswith(_PULL) else None
        holder = _NAMES.get(channel, f"channel {channel!r}")
        raise StateRefused(f"{holder} holds a value that cannot be stored: {error}", node) from error.__cause__
