"""The last events of one run's log in the memory of a process, shared by all followers of the run."""

from __future__ import annotations

import asyncio
from bisect import bisect_right
from collections.abc import Sequence
from typing import Final

import ormsgpack

from slipway.runs.events import Event, EventPosition, event_position

TAIL_EVENTS: Final = 1000
"""How many events a tail keeps at least. Followers that are further behind read the log."""


class Tail:
    """Contains the events that follow `_known_after` without a hole; None means that nothing is known."""

    def __init__(self) -> None:
        self._known_after: EventPosition | None = None
        self._events: list[Event] = []
        self._positions: list[EventPosition] = []
        self._waiting: list[asyncio.Future[None]] = []
        self.breaks = 0
        """How often notifications may have been lost. A read that started before a break does not tell where the log
        ends."""
        self.deleted = False
        """Whether the log does not exist any more."""

    @property
    def end(self) -> EventPosition | None:
        """The last known position of the end of the log."""
        return self._positions[-1] if self._positions else self._known_after

    def on_notification(self, message: bytes | None) -> None:
        """Add the events of a notification. None discards everything, because notifications may have been lost."""
        if message is None:
            self.breaks += 1
            self._reset(None)
        else:
            before, entries = ormsgpack.unpackb(message)
            self.add(event_position(before), [Event.from_notification(entry) for entry in entries])
        self.notify_followers()

    def add(self, before: EventPosition, events: list[Event]) -> None:
        """Add events that follow `before` in the log without a hole."""
        end = self.end
        if end is not None and events[-1].position <= end:
            return
        if end != before:
            self._reset(before)
        self._events.extend(events)
        self._positions.extend(event.position for event in events)
        if len(self._events) > 2 * TAIL_EVENTS:
            self._known_after = self._positions[-TAIL_EVENTS - 1]
            del self._events[:-TAIL_EVENTS], self._positions[:-TAIL_EVENTS]

    def set_end(self, position: EventPosition) -> None:
        """Record that the log was read and ended at `position`. Notifications bring what follows."""
        if self._known_after is None:
            self._reset(position)

    def _reset(self, position: EventPosition | None) -> None:
        self._known_after, self._events, self._positions = position, [], []

    def events_after(self, position: EventPosition) -> Sequence[Event] | None:
        """The known events after `position`; None when the log must be read for them."""
        if self._known_after is None or position < self._known_after:
            return None
        return self._events[bisect_right(self._positions, position) :]

    def notify_followers(self) -> None:
        """Make every follower check the tail again."""
        waiting, self._waiting = self._waiting, []
        for follower in waiting:
            if not follower.done():
                follower.set_result(None)

    def next_notification(self) -> asyncio.Future[None]:
        """Done at the next call of `notify_followers`."""
        follower: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(follower)
        return follower
