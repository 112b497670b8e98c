"""How long a supervisor waits before it starts a dead child again.

A child that had served is replaced at once: others wait for it. One that dies before it is ready, again and again, has
a fault that starting does not mend; its pauses double, so that a crash loop costs next to nothing.
"""

from __future__ import annotations

from typing import Final

FIRST_PAUSE_S: Final = 0.1
LONGEST_PAUSE_S: Final = 10.0
SERVED_PAUSE_S: Final = 0.05
"""Between early deaths of a child that had been ready each time: it may be what it serves that kills it."""

STEADY_AFTER_S: Final = 10.0
"""A child that lived this long has started well, whether it can say so or not."""

FREE_EARLY_EXITS: Final = 3
"""A child that was ready may die young so often in a row without any pause."""

CRASH_LOOP_EARLY_EXITS: Final = 25
"""After so many early deaths in a row a child that gets ready each time is a crash loop too."""

LOOP_AFTER: Final = 4
"""Deaths in a row before it was ready that make a crash loop."""


class Restarts:
    """The deaths of one child so far."""

    def __init__(self) -> None:
        self._unready = self._young = 0

    def record_exit(self, *, was_ready: bool, lived_s: float) -> float:
        """Counts a death, and says how long to wait; 0 is at once."""
        if lived_s >= STEADY_AFTER_S:
            self._unready = self._young = 0
            return 0
        if was_ready:
            self._unready, self._young = 0, self._young + 1
            return self._after_serving()
        self._unready += 1
        return 0 if self._unready == 1 else _doubled(FIRST_PAUSE_S, self._unready - 2)

    def _after_serving(self) -> float:
        if self._young <= FREE_EARLY_EXITS:
            return 0
        return _doubled(SERVED_PAUSE_S, max(0, self._young - CRASH_LOOP_EARLY_EXITS))

    @property
    def just_became_crash_loop(self) -> bool:
        """Whether the last death is the one that made it a crash loop: told once."""
        return self._unready == LOOP_AFTER or (self._unready == 0 and self._young == CRASH_LOOP_EARLY_EXITS + 1)

    @property
    def in_a_row(self) -> int:
        """Early deaths in a row."""
        return max(self._unready, self._young)


def _doubled(first_s: float, times: int) -> float:
    return float(min(first_s * 2.0 ** min(times, 20), LONGEST_PAUSE_S))
