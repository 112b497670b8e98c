"""The storage that the checkpoints of one thread take."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class StorageCount:
    """A number of stored values, and their bytes as counted when they were written."""

    count: int
    size: int


@dataclass(frozen=True, slots=True)
class ThreadStorage:
    """The storage of one thread. `channels` has the values of each channel."""

    checkpoints: StorageCount
    writes: StorageCount
    channels: Mapping[str, StorageCount]
