"""What a checkpoint says about where its thread is, without the values of its state."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from langgraph.checkpoint.base import CheckpointTuple
from langgraph.checkpoint.serde.types import TASKS

OWN_CHANNELS: Final = ("branch:", "join:", "__pregel_")
"""How the names of channels begin that LangGraph has for itself."""

DELTA_COUNTS: Final = "counters_since_delta_snapshot"
"""The member of the metadata that names the channels which are rebuilt from earlier checkpoints."""


class HeadWrite(NamedTuple):
    """A pending write. It has its value only if it is a `Send`."""

    task_id: str
    task_path: str
    channel: str
    value: Any


@dataclass(frozen=True, slots=True)
class CheckpointHead:
    """A checkpoint of one namespace."""

    checkpoint_id: str
    step: int
    """The superstep after which it was stored; -1 for an input."""
    versions: Mapping[str, Any]
    versions_seen: Mapping[str, Mapping[str, Any]]
    """By node, the versions of the channels that had started it last."""
    channels: frozenset[str]
    """All channels that have a value."""
    empty: frozenset[str]
    """Those whose value is None, or a text or a collection of length 0."""
    own_values: Mapping[str, Any]
    """The values of LangGraph's own channels."""
    writes: Sequence[HeadWrite]
    """The pending writes, in the order in which LangGraph applies them."""


def is_own(channel: str) -> bool:
    """Whether it is one of LangGraph's own channels, and not of the state."""
    return channel.startswith(OWN_CHANNELS)


def is_empty(value: Any) -> bool:
    """Whether a value says nothing: None, or a text or a collection of length 0."""
    return value is None or (isinstance(value, (str, bytes, list, tuple, dict, set, frozenset)) and not value)


def head_write(task_id: str, task_path: str, channel: str, value: Any) -> HeadWrite:
    return HeadWrite(task_id, task_path, channel, value if channel == TASKS else None)


def head_of(found: CheckpointTuple, writes: Sequence[HeadWrite]) -> CheckpointHead:
    """The head of a checkpoint that was read completely. `writes` are its pending writes."""
    checkpoint, metadata = found.checkpoint, found.metadata
    values = checkpoint["channel_values"]
    return CheckpointHead(
        checkpoint["id"],
        int(metadata.get("step", -1)),
        checkpoint["channel_versions"],
        checkpoint["versions_seen"],
        frozenset(values).union(metadata.get(DELTA_COUNTS) or ()),
        frozenset(name for name, value in values.items() if is_empty(value)),
        {name: value for name, value in values.items() if is_own(name)},
        writes,
    )
