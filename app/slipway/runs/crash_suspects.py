"""Crash suspects: runs that were executing when their worker died and have not progressed since.

When a worker dies, each of its runs may be the cause, so all of them become suspects. A suspect is cleared when it
starts its second superstep: the worker died in the first superstep after the point where the run continued, so a run
that reaches the second one is not the cause.

`CrashSuspects` limits how many suspects one worker executes at once, so that a run that kills its worker takes few
other runs with it:

- A worker starts with one suspect. For each suspect that was cleared, or has executed for `SURVIVED_AFTER_S` seconds,
  it may execute two more. So the number doubles, and all runs of a lost machine execute again within two seconds.
- A cleared suspect counts for `CLEARED_COUNTS_FOR_S` seconds.
- A suspect that was executing in several consecutive crashes executes without other suspects, until it is cleared.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable
from typing import Final

from slipway.clock import Clock
from slipway.redis.keys import Keys
from slipway.runs.attempt_writer import AttemptWriter
from slipway.runs.record import Run
from slipway.runs.write_commands import clear_suspect

SURVIVED_AFTER_S: Final = 0.25
CLEARED_COUNTS_FOR_S: Final = 1.0
CLEARED_AT_SUPERSTEP: Final = 2


class CrashSuspects:
    """The suspects that this process executes. Adding or removing a run that is not a suspect does nothing."""

    def __init__(self, clock: Clock | None = None) -> None:
        self._clock = clock or Clock()
        self._started: dict[tuple[str, int], tuple[Run, float]] = {}
        """The suspects and when they started (monotonic, s), by run id and attempt number."""
        self._cleared: deque[float] = deque()
        """When suspects were cleared or ended (monotonic, s), in order."""

    def add(self, run: Run) -> None:
        """Records that an attempt at the run starts."""
        if run.crashes:
            self._started[run.run_id, run.attempt] = (run, self._clock.monotonic())

    def remove(self, run: Run) -> None:
        """Records that the suspect was cleared, or that its attempt has ended."""
        if self._started.pop((run.run_id, run.attempt), None) and run.crashes == 1:
            self._cleared.append(self._clock.monotonic())

    def free_slots(self) -> int:
        """How many more suspects may start now."""
        if self._runs_exclusively():
            return 0
        now = self._clock.monotonic()
        while self._cleared and self._cleared[0] <= now - CLEARED_COUNTS_FOR_S:
            self._cleared.popleft()
        survived = sum(since <= now - SURVIVED_AFTER_S for _, since in self._started.values())
        not_survived = len(self._started) - survived
        return max(0, 1 + survived + len(self._cleared) - not_survived)

    def next_slot_in_s(self) -> float:
        """Seconds until a slot becomes free although no suspect is cleared or ends. Infinity if none will."""
        if self._runs_exclusively():
            return math.inf
        now = self._clock.monotonic()
        ends = (since + SURVIVED_AFTER_S - now for _, since in self._started.values())
        return min((end for end in ends if end > 0), default=math.inf)

    def _runs_exclusively(self) -> bool:
        return any(run.crashes > 1 for run, _ in self._started.values())


class SuspectProgress:
    """Counts the supersteps of one attempt and clears its run, if it is a suspect. The commands that clear it are sent
    in the write group of the superstep. `on_cleared` is called when they are added to it."""

    def __init__(self, writer: AttemptWriter, keys: Keys, on_cleared: Callable[[Run], None]) -> None:
        self._writer, self._keys, self._on_cleared = writer, keys, on_cleared
        self._remaining = CLEARED_AT_SUPERSTEP if writer.run.crashes else 0

    def superstep_started(self) -> None:
        if self._remaining == 0:
            return
        self._remaining -= 1
        if self._remaining == 0:
            for command in clear_suspect(self._keys, self._writer.run.run_id):
                self._writer.add_command(command)
            self._on_cleared(self._writer.run)
