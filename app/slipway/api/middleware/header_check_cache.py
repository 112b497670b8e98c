"""Caches whether a header value is accepted, so that each value is checked once.

Clients can send any number of values of any length, so the cache is bounded in entries and in bytes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

_MAX_ENTRIES: Final = 1000
_MAX_CHARACTERS: Final = 300
"""Longer values are checked each time."""


class HeaderCheckCache:
    """Caches the results of `decide`, which must always return the same for the same text."""

    def __init__(self, decide: Callable[[str], bool]) -> None:
        self._decide = decide
        self.entries: dict[str, bool] = {}

    def decide(self, text: str) -> bool:
        """The decision about `text`, from the cache if possible."""
        decision = self.entries.get(text)
        if decision is None:
            decision = self._decide(text)
            if len(self.entries) >= _MAX_ENTRIES:
                self.entries.clear()
            if len(text) <= _MAX_CHARACTERS:
                self.entries[text] = decision
        return decision
