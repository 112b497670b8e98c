"""The result of a script that cannot create a thread yet."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class LeftoversExist:
    """Checkpoints of a deleted thread with the same id may still exist. They are deleted first; then the thread can be
    created (`Trash.create_after_emptying`)."""
