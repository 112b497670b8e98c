"""The last events of one run's log in the memory of a process, shared by all followers of the run."""

from __future__ import annotations

import asyncio
from bisect import bisect_right
from collections.abc import Sequence
from typing import Final

import ormsgpack

from slipway.runs.events import Event, EventPosition, event_position

TAIL_EVENTS: Final = 1000
"""The fewest events that a full tail contains. Followers that are further behind read the log."""


class Tail:
    """Contains all events after the position `_starts_after`, without a gap. If that is None, the tail is not usable
    and followers read the log."""

    def __init__(self) -> None:
        self._starts_after: EventPosition | None = None
        self._events: list[Event] = []
        self._positions: list[EventPosition] = []
        self._waiting: list[asyncio.Future[None]] = []
        self.breaks = 0
        """How many times notifications may have been lost. The end of the log that a read found is not valid if the
        number changed during the read."""
        self.deleted = False
        """Whether the log was deleted."""

    @property
    def end(self) -> EventPosition | None:
        """The position of the last event that the tail has received. None if the tail is not usable."""
        return self._positions[-1] if self._positions else self._starts_after

    def on_notification(self, message: bytes | None) -> None:
        """Adds the events of a notification. None means that notifications may have been lost: then the tail is
        emptied."""
        if message is None:
            self.breaks += 1
            self._reset(None)
        else:
            before, entries = ormsgpack.unpackb(message)
            self.add(event_position(before), [Event.from_notification(entry) for entry in entries])
        self.notify_followers()

    def add(self, before: EventPosition, events: list[Event]) -> None:
        """Adds events that follow `before` in the log without a gap. Ignores events that the tail contains already."""
        end = self.end
        if end is not None and events[-1].position <= end:
            return
        if end != before:
            self._reset(before)
        self._events.extend(events)
        self._find_result()
        self._positions.extend(event.position for event in events)
        if len(self._events) > 2 * TAIL_EVENTS:
            self._starts_after = self._positions[-TAIL_EVENTS - 1]
            del self._events[:-TAIL_EVENTS], self._positions[:-TAIL_EVENTS]

    def _find_result(self) -> None:
        """Finds the event with the result of the run, if the tail contains it: then no follower needs to read it."""
        distance = self._events[-1].result_distance
        if 0 < distance < len(self._events):
            self._events[-1] = self._events[-1].with_result_of(self._events[-1 - distance])

    def set_end(self, position: EventPosition) -> None:
        """Records that a read reached the end of the log at `position`. Notifications contain the events that
        follow."""
        if self._starts_after is None:
            self._reset(position)

    def _reset(self, position: EventPosition | None) -> None:
        self._starts_after, self._events, self._positions = position, [], []

    def events_after(self, position: EventPosition) -> Sequence[Event] | None:
        """The events of the tail after `position`. None if the tail does not have all of them and the log must be
        read."""
        if self._starts_after is None or position < self._starts_after:
            return None
        return self._events[bisect_right(self._positions, position) :]

    def notify_followers(self) -> None:
        """Makes every follower check the tail again."""
        waiting, self._waiting = self._waiting, []
        for follower in waiting:
            if not follower.done():
                follower.set_result(None)

    def next_notification(self) -> asyncio.Future[None]:
        """A future that is resolved by the next call of `notify_followers`."""
        follower: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(follower)
        return follower
