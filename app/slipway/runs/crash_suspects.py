"""How many runs with which a worker died this process may execute at once.

A run that kills its worker takes the runs beside it along, and nobody can tell which one it was. So such runs begin
few at a time: one, and when it has lasted for `SURVIVED_AFTER_S` or got further than where it died two more, and so on,
doubling: a lost machine's runs are all back within a second or two, and one that kills at once finds hardly anybody
beside it. A run that got further is a suspect no longer; that it was none speaks for those behind it for
`CLEARED_COUNTS_FOR_S`. One with which several workers died in a row is on its own among suspects until then.
"""

from __future__ import annotations

import math
from collections import deque
from typing import Final

from slipway.clock import Clock
from slipway.runs.record import Run

SURVIVED_AFTER_S: Final = 0.25
CLEARED_COUNTS_FOR_S: Final = 1.0


class CrashSuspects:
    """Those that this process executes."""

    def __init__(self, clock: Clock | None = None) -> None:
        self._clock = clock or Clock()
        self._begun: dict[tuple[str, int], tuple[Run, float]] = {}
        self._cleared: deque[float] = deque()

    def add(self, run: Run) -> None:
        """An attempt begins; it counts if its run is a suspect."""
        if run.suspect:
            self._begun[run.run_id, run.attempt] = (run, self._clock.monotonic())

    def remove(self, run: Run) -> None:
        """The attempt has got further than where the last one died, or is over."""
        if self._begun.pop((run.run_id, run.attempt), None) and run.suspect == 1:
            self._cleared.append(self._clock.monotonic())

    def free_slots(self) -> int:
        """How many more may begin now."""
        if self._runs_exclusively():
            return 0
        now = self._clock.monotonic()
        while self._cleared and self._cleared[0] <= now - CLEARED_COUNTS_FOR_S:
            self._cleared.popleft()
        lasted = sum(since <= now - SURVIVED_AFTER_S for _, since in self._begun.values())
        not_survived = len(self._begun) - lasted
        return max(0, 1 + lasted + len(self._cleared) - not_survived)

    def next_slot_in_s(self) -> float:
        """In how many seconds there will be more room if nothing else happens; infinity when time alone brings none."""
        if self._runs_exclusively():
            return math.inf
        now = self._clock.monotonic()
        ends = (since + SURVIVED_AFTER_S - now for _, since in self._begun.values())
        return min((end for end in ends if end > 0), default=math.inf)

    def _runs_exclusively(self) -> bool:
        return any(run.suspect > 1 for run, _ in self._begun.values())
