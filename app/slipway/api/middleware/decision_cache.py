"""What was decided about the values of a header, so that each is decided once.

Clients send as many values as they like, and as long ones: what is remembered is bounded in number and in bytes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

_MOST_REMEMBERED: Final = 1000
_LONGEST_REMEMBERED: Final = 300
"""Characters. Longer values are decided each time."""


class DecisionCache:
    """Remembers what `decide` says: it must always say the same of one text."""

    def __init__(self, decide: Callable[[str], bool]) -> None:
        self._decide = decide
        self.remembered: dict[str, bool] = {}

    def of(self, text: str) -> bool:
        """The decision about `text`."""
        decided = self.remembered.get(text)
        if decided is None:
            decided = self._decide(text)
            if len(self.remembered) >= _MOST_REMEMBERED:
                self.remembered.clear()
            if len(text) <= _LONGEST_REMEMBERED:
                self.remembered[text] = decided
        return decided
