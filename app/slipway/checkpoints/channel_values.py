"""What goes into a channel, as bytes; and what to say when it cannot be stored."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, TypeVar

from langgraph.checkpoint.serde.types import INTERRUPT, TASKS

from slipway.errors import StateRefused

_PULL: Final = "~__pregel_pull, "
"""How the path of a task begins that runs a node because of its channels."""

_NAMES: Final = {
    INTERRUPT: "the value of an interrupt",
    "__previous__": "what the entrypoint saves for its next run",
    "__return__": "what a task returned",
    TASKS: "a Send",
}
"""Channels that have no name in the author's code."""


T = TypeVar("T", bytes, str)


def dumped(dumps: Callable[[Any], T], channel: str, value: Any, task_path: str = "") -> T:
    """`value` as `dumps` makes it. `StateRefused` names the channel, and the node where `task_path` tells it."""
    try:
        return dumps(value)
    except StateRefused as error:
        node = task_path.removeprefix(_PULL) if task_path.startswith(_PULL) else None
        holder = _NAMES.get(channel, f"channel {channel!r}")
        raise StateRefused(f"{holder} holds a value that cannot be stored: {error}", node) from error.__cause__
