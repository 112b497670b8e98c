"""The pending writes that an attempt has stored for the supersteps that it executes.

While a superstep executes, each write is a field of its own, stored as soon as its task has ended, for an attempt that
continues after a crash. When the superstep has ended, that is when its checkpoint has a child, only the history shows
the writes. Then they are stored again as one value, compressed with what they have become as the dictionary
(`similar_values.py`), so that they need a fraction of the bytes.

Only writes of checkpoints that the same attempt has stored are joined: then all fields are known. Large values are left
alone, because they gain little and cost CPU.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from slipway.checkpoints.base_checkpointer import StoredWrite
from slipway.checkpoints.checkpoint_key import CheckpointKey

JOINED_FROM_BYTES: Final = 1024
JOINED_VALUE_BYTES: Final = 64 * 1024
"""The largest value that is joined with others."""
_MAX_NAMESPACES: Final = 256


class FieldOfWrite(NamedTuple):
    """A stored write. `encoded` is its value, neither compressed nor encrypted."""

    write: StoredWrite
    encoded: bytes
    field: str
    stored_bytes: int


class SuperstepWrites:
    """The writes of the newest checkpoint that the attempt has stored in each namespace of each thread."""

    def __init__(self, *, checkpoints_are_new: bool) -> None:
        self._checkpoints_are_new = checkpoints_are_new
        self._newest: dict[tuple[str, str], tuple[str, dict[str, FieldOfWrite | None]]] = {}

    def add(self, thread_id: str, key: CheckpointKey, field: str, position: int, small: FieldOfWrite | None) -> bool:
        """Remembers a write of a checkpoint. `small` is None if it is too large to be joined with others. A write with
        a position below 0 replaces the earlier one. Returns whether the field is certainly not stored yet."""
        newest_id, writes = self._newest.get((thread_id, key.namespace), ("", {}))
        if newest_id != key.checkpoint_id:
            return False
        is_first = self._checkpoints_are_new and field not in writes
        if position < 0 or field not in writes:
            writes[field] = small
        return is_first

    def finish(self, thread_id: str, namespace: str, parent_id: str, checkpoint_id: str) -> list[FieldOfWrite]:
        """The writes of `parent_id`, whose child `checkpoint_id` is stored now, if they are worth joining."""
        if len(self._newest) >= _MAX_NAMESPACES:
            self._newest.clear()
        newest_id, writes = self._newest.get((thread_id, namespace), ("", {}))
        self._newest[thread_id, namespace] = checkpoint_id, {}
        if newest_id != parent_id:
            return []
        found = [each for each in writes.values() if each is not None]
        return found if sum(len(each.encoded) for each in found) >= JOINED_FROM_BYTES else []
