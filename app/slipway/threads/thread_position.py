"""A position in everything that happened in a thread, and the event ids that clients of a thread stream receive.

Runs are ordered by their ordinals. A state write from outside a run belongs to the ordinal of the last run that had
started before it, and follows that run. An id is `<ordinal>-<offset>`; ids grow along the thread:

    <ordinal>-<2 × the event's id in the run's log, as one number>      an event of the run
    <ordinal>-<one more than the offset of the last event>              the run is done
    <ordinal>-<10^20 + the time of the write in µs>                     a state that was written
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple

from slipway.runs.events import EventPosition

_PER_MS: Final = 1_000_000
_STATE_WRITES: Final = 10**20
_ID: Final = re.compile(r"(\d{1,100})(?:-(\d{1,100}|\*))?", re.ASCII)


class ThreadPosition(NamedTuple):
    """Everything of earlier ordinals was received, and of this ordinal everything up to `offset`."""

    ordinal: int
    offset: int

    def __str__(self) -> str:
        return f"{self.ordinal}-{self.offset}"

    @property
    def is_within_run(self) -> bool:
        """Whether this position is at an event of a run or before its first event, so that more events may follow."""
        return self.offset < _STATE_WRITES and self.offset % 2 == 0

    @property
    def event_id(self) -> str:
        """The id in the run's own log; `0` before its first event."""
        milliseconds, number = divmod(self.offset // 2, _PER_MS)
        return f"{milliseconds}-{number}" if self.offset else "0"


START: Final = ThreadPosition(0, 1)


def run_start(ordinal: int) -> ThreadPosition:
    """Before the first event of a run."""
    return ThreadPosition(ordinal, 0)


def event_in_run(ordinal: int, position: EventPosition) -> ThreadPosition:
    return ThreadPosition(ordinal, 2 * (position[0] * _PER_MS + position[1]))


def end_of_run(last_event: ThreadPosition) -> ThreadPosition:
    return ThreadPosition(last_event.ordinal, last_event.offset + 1)


def state_write(ordinal: int, time_us: int) -> ThreadPosition:
    return ThreadPosition(ordinal, _STATE_WRITES + time_us)


def position_from_id(text: str) -> ThreadPosition | None:
    """`-` is the start. None if `text` is not an id of a thread stream."""
    if text == "-":
        return START
    match = _ID.fullmatch(text)
    if match is None:
        return None
    return ThreadPosition(int(match[1]), 1 if match[2] == "*" else int(match[2] or 0))
