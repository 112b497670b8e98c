"""Cursors of reads that scan one shard after the other, or everything at once.

Such a cursor is that of SCAN or ZSCAN, after `<number of the shard>/<number of shards>@` if there are several.
"""

from __future__ import annotations

from typing import Final

FIRST: Final = "0"
"""The cursor of the first page."""

_BITS: Final = 64


def split_cursor(cursor: str) -> tuple[int, str]:
    """The number of the shard, and the cursor in it."""
    part, _, position = cursor.rpartition("@")
    return int(part.partition("/")[0] or 0), position


def next_cursor(part: int, parts: int, position: str) -> str | None:
    """The cursor after a page of shard `part` of `parts` whose next page is at `position`. None after the last one."""
    if position == FIRST:
        part += 1
    if part == parts:
        return None
    return position if parts == 1 else f"{part}/{parts}@{position}"


def share_read(cursor: str | None) -> float:
    """How much is read at a cursor, from 0 to 1. Redis counts the buckets of a hash table with the bits of the cursor
    in reverse order, so that the cursor stays valid when the table grows."""
    if cursor is None:
        return 1.0
    part, position = split_cursor(cursor)
    parts = int(cursor.rpartition("@")[0].partition("/")[2] or 1)
    return (part + int(f"{int(position):0{_BITS}b}"[::-1], 2) / (1 << _BITS)) / parts
