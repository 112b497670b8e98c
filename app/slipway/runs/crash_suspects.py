"""Crash suspects: runs that were executing when their worker died and have not progressed since.

When a worker dies, each of its runs may be the cause, so all of them become suspects of this crash. A suspect is
cleared when it starts its second superstep: the worker died in the first superstep after the point where the run
continued, so a run that reaches the second one is not the cause.

`CrashSuspects` limits which suspects a worker executes at once, so that a run that kills its worker takes few other
runs with it:

- Of each crash, a worker starts with one suspect. For each that was cleared, or has survived, it may execute two more.
  So the number doubles, and all runs of a lost machine execute again within two seconds.
- A suspect has survived after `SURVIVED_AFTER_S`, and four times as long for each further crash in a row. A cleared
  suspect counts for `CLEARED_COUNTS_FOR_S`.
- A suspect that was executing in two consecutive crashes executes without others of the second one until it has
  survived, and it does not let more of them start.
- From three consecutive crashes on (`ALONE_FROM_CRASHES`), a suspect executes as the only suspect of its worker until
  it has survived.

Suspects of different crashes do not wait for each other. Where workers die for other reasons than their runs, there
are many crashes, and their suspects execute at once. A run that kills its workers was in the same last crash as all
runs that it took with it, so it is separated from them, and executes alone after three crashes.
"""

from __future__ import annotations

import math
from collections import Counter, deque
from collections.abc import Callable
from typing import Final

from slipway.clock import Clock
from slipway.redis.keys import Keys
from slipway.runs.attempt_writer import AttemptWriter
from slipway.runs.record import Run
from slipway.runs.suspect_slots import ALONE_FROM_CRASHES, NO_SUSPECTS, SuspectSlots
from slipway.runs.write_commands import clear_suspect

SURVIVED_AFTER_S: Final = 0.25
SURVIVES_LONGER_BY: Final = 4.0
"""The factor for each further crash in a row."""

CLEARED_COUNTS_FOR_S: Final = 1.0
CLEARED_AT_SUPERSTEP: Final = 2


class CrashSuspects:
    """The suspects that this process executes. Adding or removing a run that is not a suspect does nothing."""

    def __init__(self, clock: Clock | None = None) -> None:
        self._clock = clock or Clock()
        self._started: dict[tuple[str, int], tuple[Run, float]] = {}
        """The suspects and when they started (monotonic, s), by run id and attempt number."""
        self._cleared: deque[tuple[str, float]] = deque()
        """The crashes of suspects that were cleared or ended, and when (monotonic, s), in order."""

    def add(self, run: Run) -> None:
        """Records that an attempt at the run starts."""
        if run.crashes and run.cancel is None:  # an attempt at a cancelled run executes no node
            self._started[run.run_id, run.attempt] = (run, self._clock.monotonic())

    def remove(self, run: Run) -> None:
        """Records that the suspect was cleared, or that its attempt has ended."""
        if self._started.pop((run.run_id, run.attempt), None) and run.crashes == 1:
            self._cleared.append((run.crashed_worker, self._clock.monotonic()))

    def free_slots(self) -> SuspectSlots:
        """Which suspects may start now."""
        now = self._clock.monotonic()
        while self._cleared and self._cleared[0][1] <= now - CLEARED_COUNTS_FOR_S:
            self._cleared.popleft()
        slots = Counter(crash for crash, _ in self._cleared)
        repeated: set[str] = set()
        alone = True
        for run, since in self._started.values():
            if _survives_at(run, since) <= now:
                slots[run.crashed_worker] += run.crashes == 1
                continue
            if run.crashes >= ALONE_FROM_CRASHES:
                return NO_SUSPECTS
            alone = False
            slots[run.crashed_worker] -= 1
            if run.crashes > 1:
                repeated.add(run.crashed_worker)
        by_crash = {crash: 0 if crash in repeated else max(0, 1 + more) for crash, more in slots.items()}
        return SuspectSlots(by_crash, alone=alone)

    def next_slot_in_s(self) -> float:
        """Seconds until a slot becomes free although no suspect is cleared or ends. Infinity if none will."""
        now = self._clock.monotonic()
        ends = (_survives_at(run, since) - now for run, since in self._started.values())
        return min((end for end in ends if end > 0), default=math.inf)


def _survives_at(run: Run, since: float) -> float:
    return since + SURVIVED_AFTER_S * math.pow(SURVIVES_LONGER_BY, run.crashes - 1)


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
