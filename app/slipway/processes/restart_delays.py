"""How long a supervisor waits before it restarts a child that exited.

A child that had served is restarted at once, because clients wait for it. A child that repeatedly exits before it is
ready has a fault that a restart does not repair; its pauses double, so that a crash loop costs almost nothing.
"""

from __future__ import annotations

from typing import Final

FIRST_PAUSE_S: Final = 0.1
LONGEST_PAUSE_S: Final = 10.0
SERVED_PAUSE_S: Final = 0.05
"""The pause after an early exit of a child that was ready each time: a run that it executes may be what kills it."""

STEADY_AFTER_S: Final = 10.0
"""An exit after this long is not early, and resets the counts."""

FREE_EARLY_EXITS: Final = 3
"""So many early exits in a row of a child that was ready cause no pause."""

CRASH_LOOP_EARLY_EXITS: Final = 25
"""After so many early exits in a row, a child that was ready each time is a crash loop too."""

LOOP_AFTER: Final = 4
"""So many exits in a row before the child was ready are a crash loop."""


class Restarts:
    """Counts the exits of one child."""

    def __init__(self) -> None:
        self._exits_before_ready = self._early_exits = 0

    def record_exit(self, *, was_ready: bool, lived_s: float) -> float:
        """Counts an exit. Returns how long to wait before the restart; 0 is at once."""
        if lived_s >= STEADY_AFTER_S:
            self._exits_before_ready = self._early_exits = 0
            return 0
        if was_ready:
            self._exits_before_ready, self._early_exits = 0, self._early_exits + 1
            return self._after_serving()
        self._exits_before_ready += 1
        return 0 if self._exits_before_ready == 1 else _doubled(FIRST_PAUSE_S, self._exits_before_ready - 2)

    def _after_serving(self) -> float:
        if self._early_exits <= FREE_EARLY_EXITS:
            return 0
        return _doubled(SERVED_PAUSE_S, max(0, self._early_exits - CRASH_LOOP_EARLY_EXITS))

    @property
    def just_became_crash_loop(self) -> bool:
        """Whether the last exit made it a crash loop. True only once in a row, so that it is logged once."""
        return self._exits_before_ready == LOOP_AFTER or (
            self._exits_before_ready == 0 and self._early_exits == CRASH_LOOP_EARLY_EXITS + 1
        )

    @property
    def in_a_row(self) -> int:
        """Early exits in a row."""
        return max(self._exits_before_ready, self._early_exits)


def _doubled(first_s: float, times: int) -> float:
    return float(min(first_s * 2.0 ** min(times, 20), LONGEST_PAUSE_S))
