"""Serializes channel values. An error names the channel and the node of a value that cannot be stored."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
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
        raise _naming(error, channel, task_path) from error.__cause__


async def dumped_in_turns(dumps: Callable[[Any], Awaitable[T]], channel: str, value: Any, task_path: str = "") -> T:
    """Does the same as `dumped`, with a function that lets the event loop continue."""
    try:
        return await dumps(value)
    except StateRefused as error:
        raise _naming(error, channel, task_path) from error.__cause__


def _naming(error: StateRefused, channel: str, task_path: str) -> StateRefused:
    """The error with the channel, and with the node if `task_path` names one."""
    node = task_path.removeprefix(_PULL) if task_path.startswith(_PULL) else None
    holder = _NAMES.get(channel, f"channel {channel!r}")
    return StateRefused(f"{holder} holds a value that cannot be stored: {error}", node)
