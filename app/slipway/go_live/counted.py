"""Numbers with their nouns."""

from __future__ import annotations


def counted(number: int, noun: str) -> str:
    """Such as `1 run` and `2 runs`."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
