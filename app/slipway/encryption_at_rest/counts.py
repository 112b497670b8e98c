"""How many stored values are encrypted with which key."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

PLAIN: Final = "plain"
BY_SCRIPTS: Final = "by scripts"
"""Plain values that scripts have written, or may have: `Value.by_script`."""
UNREADABLE: Final = "unreadable"


@dataclass(slots=True)
class KeyCounts:
    """By kind of key and, inside, by `PLAIN`, `BY_SCRIPTS`, `UNREADABLE` or the name of an encryption key."""

    first: str
    """The name of the key that encrypts."""
    by_kind: dict[str, Counter[str]] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    """What is unreadable, and why: the first ones."""

    def add(self, kind: str, what: str) -> None:
        self.by_kind.setdefault(kind, Counter())[what] += 1

    def add_problem(self, kind: str, sentence: str) -> None:
        self.add(kind, UNREADABLE)
        if len(self.problems) < MOST_PROBLEMS:
            self.problems.append(sentence)

    @property
    def totals(self) -> Mapping[str, int]:
        totals: Counter[str] = Counter()
        for counts in self.by_kind.values():
            totals.update(counts)
        return totals

    @property
    def names(self) -> list[str]:
        """The names of all keys with which values are encrypted."""
        return sorted(set(self.totals) - {PLAIN, BY_SCRIPTS, UNREADABLE})

    @property
    def left(self) -> int:
        """How many values a rotation has still to encrypt with the first key."""
        return sum(number for what, number in self.totals.items() if what not in (self.first, BY_SCRIPTS))


MOST_PROBLEMS: Final = 20
