"""A run with which a worker died proves that it was not the cause: it gets further than where it died."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from slipway.redis.keys import Keys
from slipway.runs.attempt import Attempt
from slipway.runs.record import Run
from slipway.runs.run_commands import clear_suspect

CLEARED_AT_SUPERSTEP: Final = 2
"""Where an attempt has got further: what died was in the first of its supersteps, and this one is the next."""


class SuspectProgress:
    """Counts the supersteps of one attempt. The proof lands with the superstep's other writes."""

    def __init__(self, attempt: Attempt, keys: Keys, on_cleared: Callable[[Run], None]) -> None:
        self._attempt, self._keys, self._on_cleared = attempt, keys, on_cleared
        self._left = CLEARED_AT_SUPERSTEP if attempt.run.suspect else 0

    def superstep_started(self) -> None:
        """One more."""
        if self._left == 0:
            return
        self._left -= 1
        if self._left == 0:
            for command in clear_suspect(self._keys, self._attempt.run.run_id):
                self._attempt.add_command(command)
            self._on_cleared(self._attempt.run)
