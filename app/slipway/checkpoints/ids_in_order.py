"""Ids of checkpoints sort in the order in which checkpoints follow each other, whatever the clocks of hosts show.

LangGraph makes an id of the clock of its host (UUID, version 6), and the newest checkpoint of a thread is the one with
the greatest id. A thread is continued by many hosts. One whose clock is behind would make ids that sort before those
that are stored, and what it wrote would never be read again.

So each process makes only ids that are greater than all that it has read. As a checkpoint is made by a process that
has read the newest one of the thread, it is newer than that one.
"""

from __future__ import annotations

import time
from typing import Final
from uuid import UUID

from langgraph.checkpoint.base import id as langgraph_ids

_VERSION: Final = 6
_EPOCH: Final = 0x01B21DD213814000
"""1970 in the time of an id, in 100 ns since 1582."""
_FURTHEST_AHEAD: Final = 24 * 3600 * 10_000_000
"""In 100 ns: no clock of a host is a day ahead. An id of a later time was not made by a clock, and would determine all
ids of this process from then on."""


def make_later_than(checkpoint_id: str) -> None:
    """From now on, every id that LangGraph makes in this process sorts after this one. Does nothing for an id that
    no clock has made."""
    try:
        read = UUID(checkpoint_id)
    except ValueError:
        return
    if read.version != _VERSION:
        return
    at = _time_of(read)
    furthest = time.time_ns() // 100 + _EPOCH + _FURTHEST_AHEAD
    if (langgraph_ids._last_v6_timestamp or 0) < at <= furthest:  # no public name: it is the greatest time so far
        langgraph_ids._last_v6_timestamp = at  # type: ignore[assignment]  # declared as None


def _time_of(made: UUID) -> int:
    """The time in an id, in 100 ns: all its bits before the sequence number, without the version."""
    return (made.int >> 80) << 12 | (made.int >> 64) & 0xFFF
