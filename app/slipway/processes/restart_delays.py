"""Computes how long a supervisor waits before it restarts a child that has exited.

An exit is early if it follows the start within `STEADY_AFTER_S`. A child that exits later is restarted at once, and so
is a child after its first early exit. After further early exits, the pause depends on whether the child was ready:

- If it was ready each time, clients wait for it, and a run that it executes may kill it. It is restarted at once after
  `FREE_EARLY_EXITS` early exits, and after `SERVED_PAUSE_S` from then on. After more than `CRASH_LOOP_EARLY_EXITS`,
  each pause is twice as long as the one before.
- If it exits before it is ready, it has a fault that a restart does not fix. The second exit pauses for
  `FIRST_PAUSE_S`, and each later pause is twice as long as the one before.

No pause exceeds `LONGEST_PAUSE_S`, so a crash loop uses almost no CPU.
"""

from __future__ import annotations

from typing import Final

FIRST_PAUSE_S: Final = 0.1
LONGEST_PAUSE_S: Final = 10.0
SERVED_PAUSE_S: Final = 0.05
"""The first pause in seconds of a child that was ready each time, after more than `FREE_EARLY_EXITS` early exits."""

STEADY_AFTER_S: Final = 10.0
"""Seconds. An exit after more than this time is not early, and resets the counts."""

FREE_EARLY_EXITS: Final = 3
"""A child that was ready each time is restarted without a pause after each of this many consecutive early exits."""

CRASH_LOOP_EARLY_EXITS: Final = 25
"""A child that was ready each time is in a crash loop after more than this many consecutive early exits."""

CRASH_LOOP_EXITS_BEFORE_READY: Final = 4
"""The number of consecutive exits before the child was ready that count as a crash loop."""


class Restarts:
    """Counts the exits of one child."""

    def __init__(self) -> None:
        self._exits_before_ready = self._early_exits = 0

    def record_exit(self, *, was_ready: bool, lived_s: float) -> float:
        """Counts an exit. Returns the seconds to wait before the restart; 0 means at once."""
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
        """Whether the last exit is the first one that counts as a crash loop, so that it is logged once."""
        return self._exits_before_ready == CRASH_LOOP_EXITS_BEFORE_READY or (
            self._exits_before_ready == 0 and self._early_exits == CRASH_LOOP_EARLY_EXITS + 1
        )

    @property
    def consecutive(self) -> int:
        """The number of consecutive early exits."""
        return max(self._exits_before_ready, self._early_exits)


def _doubled(first_s: float, times: int) -> float:
    return float(min(first_s * 2.0 ** min(times, 20), LONGEST_PAUSE_S))
