"""The last events of one run's log in the memory of a process, shared by all followers of the run."""

from __future__ import annotations

import asyncio
from bisect import bisect_right
from collections.abc import Callable, Sequence
from typing import Any, Final

import ormsgpack

from slipway.runs.events import Event, EventPosition, event_position
from slipway.serialization.at_rest import opened_size
from slipway.serialization.slices import LARGE_BYTES

TAIL_EVENTS: Final = 1000
"""The fewest events that a full tail contains, unless they are large. Followers that are further behind read the
log."""
TAIL_BYTES: Final = 8 * 1024 * 1024
"""The fewest bytes that a full tail of large events contains, if they are more than one."""


class Tail:
    """Contains all events after the position `_starts_after`, without a gap. If that is None, the tail is not usable
    and followers read the log. `on_missed` is called when the tail misses events that the log has: it must read them
    once for all followers (`missed`)."""

    def __init__(self, run_id: str, on_missed: Callable[[], None] = lambda: None) -> None:
        self._run_id, self._on_missed = run_id, on_missed
        self._starts_after: EventPosition | None = None
        self._events: list[Event] = []
        self._positions: list[EventPosition] = []
        self._bytes = 0
        self._waiting: list[asyncio.Future[None]] = []
        self.breaks = 0
        """How many times notifications may have been lost. The end of the log that a read found is not valid if the
        number changed during the read."""
        self.missed = 0
        """How many notifications were not used since the tail misses events. If a read of what follows the tail reaches
        the end of the log, and the number has not changed meanwhile, the tail is complete, and the reader sets 0."""
        self.deleted = False
        """Whether the log was deleted."""

    @property
    def end(self) -> EventPosition | None:
        """The position of the last event that the tail has received. None if the tail is not usable."""
        return self._positions[-1] if self._positions else self._starts_after

    def on_notification(self, message: bytes | None) -> None:
        """Adds the events of a notification, unless it does not follow the end of the tail, or has no events because
        they are large. None means that notifications may have been lost: then the tail is emptied."""
        if message is None:
            self.breaks += 1
            self._reset(None)
            return self.notify_followers()
        before, entries = ormsgpack.unpackb(message)
        is_large = _is_large(entries)
        if self.end is not None and (is_large or self.missed or event_position(before) > self.end):
            self.missed += 1
            return self._on_missed()
        if is_large:
            self.breaks += 1
        else:
            self.add(event_position(before), [Event.from_notification(self._run_id, entry) for entry in entries])
        return self.notify_followers()

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
        self._bytes += sum(len(event.block) for event in events)
        if len(self._events) > 2 * TAIL_EVENTS or self._bytes > 2 * TAIL_BYTES:
            self._discard_old()

    def _discard_old(self) -> None:
        first = max(0, len(self._events) - TAIL_EVENTS)
        self._bytes -= sum(len(event.block) for event in self._events[:first])
        while self._bytes > TAIL_BYTES and first < len(self._events) - 1:
            self._bytes -= len(self._events[first].block)
            first += 1
        if first:
            self._starts_after = self._positions[first - 1]
            del self._events[:first], self._positions[:first]

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
        self._starts_after, self._events, self._positions, self._bytes = position, [], [], 0

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


def _is_large(entries: Sequence[Any]) -> bool:
    """Whether these entries of a notification should be read from the log instead, in turns: the large ones were left
    out, or those that are compressed take long to decompress."""
    if not entries:
        return True
    sizes = (opened_size(part) for entry in entries for part in entry[1:3] if isinstance(part, bytes))
    return sum(sizes) >= LARGE_BYTES
