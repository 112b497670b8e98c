"""The log of a run: the truth about what happened, and the only thing that readers follow.

Writers append to one Redis Stream a run and publish a wake-up in the same script (`keyspace/lua/prelude.lua`). The
wake-up carries the new entries and the id they follow. Readers in one process share a `Tail` a run: a wake-up that
continues exactly where the tail stands is taken as it is; anything else (a lost message, a late reader, a broken
connection) is mended by reading the Stream. So a lost notification costs latency, never an event.

No reader has a queue of its own. A tail keeps the last `KEEP` events for all; a reader who falls behind that reads
the Stream at its own pace.
"""

from __future__ import annotations

import asyncio
from bisect import bisect_right
from collections.abc import AsyncGenerator, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any, Final

import ormsgpack
import structlog

from slipway.errors import StoreUnavailable
from slipway.redis.keys import Keys
from slipway.redis.pipeline import Pipeline
from slipway.redis.subscriber import Subscriber
from slipway.runs.log_reads import LogReads
from slipway.sse_frames import data_of, encode_frame, with_id

log = structlog.get_logger(__name__)

KEEP: Final = 1000
_READ: Final = 500
_HEAL_S: Final = 15.0
_AGAIN_S: Final = 0.5

Place = tuple[int, int]
"""An event id as numbers, so that ids compare."""

START: Final[Place] = (0, 0)
START_ID: Final = "0"
"""Where a reader stands that wants all events."""
NEW_ONLY: Final = "$"
"""Where a reader stands that wants only events to come."""
_FIRST_ATTEMPT: Final = b'"attempt":1}'


def place_of(event_id: str) -> Place:
    """The numbers of an id such as `1795344333862-0` (or `1795344333862`)."""
    milliseconds, _, number = event_id.partition("-")
    return int(milliseconds), int(number or 0)


@dataclass(frozen=True, slots=True)
class Event:
    """One entry of a run's log. `block` is what every SSE client gets, id and blank line included; `result` is on
    some `end` events: the JSON body that waiting clients get."""

    id: str
    place: Place
    name: str
    block: bytes
    result: bytes | None = None

    @property
    def data(self) -> bytes:
        """The JSON of it."""
        return data_of(self.block)

    @property
    def first(self) -> bool:
        """Whether it is the event with which every log begins."""
        return self.name == "metadata" and self.data.endswith(_FIRST_ATTEMPT)

    @property
    def last(self) -> bool:
        """Whether nothing follows."""
        return self.name == "end"


def gap(missing_after: str) -> Event:
    """Tells a reader that the log no longer reaches back to its position."""
    return _event(missing_after, "gap", encode_frame("gap", b'{"missing_after":"%b"}' % missing_after.encode()))


class Tail:
    """The end of one run's log as this process has heard it. It covers what lies after `_from`, when it knows that."""

    def __init__(self) -> None:
        self._from: Place | None = None
        self._events: list[Event] = []
        self._places: list[Place] = []
        self._waiting: list[asyncio.Future[None]] = []
        self.breaks = 0
        """How often something may have been missed. What was read before a break does not tell where the log ends."""
        self.gone = False

    @property
    def end(self) -> Place | None:
        """Where the log ended when it was last heard of, if that is known."""
        return self._places[-1] if self._places else self._from

    def hear(self, message: bytes | None) -> None:
        """Take a wake-up in, or (None) forget everything, for something may have been missed."""
        if message is None:
            self.breaks += 1
            self._restart(None)
        else:
            before, entries = ormsgpack.unpackb(message)
            self.add(place_of(before), [_heard(entry) for entry in entries])
        self.wake()

    def add(self, before: Place, events: list[Event]) -> None:
        """Events that follow `before` in the log without a hole."""
        end = self.end
        if end is not None and events[-1].place <= end:
            return
        if end != before:
            self._restart(before)
        self._events.extend(events)
        self._places.extend(event.place for event in events)
        if len(self._events) > 2 * KEEP:
            self._from = self._places[-KEEP - 1]
            del self._events[:-KEEP], self._places[:-KEEP]

    def ends_at(self, place: Place) -> None:
        """The Stream was read and ended there; whatever follows will be heard."""
        if self._from is None:
            self._restart(place)

    def _restart(self, place: Place | None) -> None:
        self._from, self._events, self._places = place, [], []

    def since(self, place: Place) -> Sequence[Event] | None:
        """What is known to follow `place`; None when only the Stream can tell."""
        if self._from is None or place < self._from:
            return None
        return self._events[bisect_right(self._places, place) :]

    def wake(self) -> None:
        """Let every reader look again."""
        waiting, self._waiting = self._waiting, []
        for reader in waiting:
            if not reader.done():
                reader.set_result(None)

    def changed(self) -> asyncio.Future[None]:
        """Done at the next wake-up."""
        reader: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(reader)
        return reader


@dataclass(slots=True)
class _Followed:
    """A tail with its subscription, the number of its readers, and what reads the Stream now and then."""

    subscribed: asyncio.Future[None]
    tail: Tail
    readers: int = 0
    healer: asyncio.Task[None] | None = None

    async def listening(self) -> None:
        """Wait for the subscription, which all readers share: one that is cancelled here must not cancel it."""
        await asyncio.shield(self.subscribed)


class EventLog:
    """Reading and following run logs. Appending is the scripts' work."""

    def __init__(self, pipeline: Pipeline, keys: Keys, subscriber: Subscriber) -> None:
        self._log, self._subscriber = LogReads(pipeline, keys), subscriber
        self._followed: dict[str, _Followed] = {}

    @contextmanager
    def expecting(self, run_id: str) -> Iterator[None]:
        """Listen for a run that is about to be made, so that its first events need no read."""
        followed = self._join(run_id)
        try:
            yield
        finally:
            self._leave(run_id, followed)

    async def exists(self, run_id: str) -> bool:
        """Whether the log is still kept."""
        return await self._log.exists(run_id)

    async def newest(self, run_id: str) -> Event | None:
        """The last event so far; None when the log is not kept any more."""
        found = await self._log.newest(run_id)
        return _read(found[0]) if found else None

    async def read(self, run_id: str, after: Place = START, count: int = _READ) -> list[Event]:
        """Up to `count` events that follow `after`."""
        start = f"({after[0]}-{after[1]}"
        return [_read(entry) for entry in await self._log.page(run_id, start, count)]

    async def follow(self, run_id: str, after: str = "0") -> AsyncGenerator[Sequence[Event], None]:
        """Batches of events: all that follow `after` (an id, `START_ID` or `NEW_ONLY`), then live, until the `end`
        event. A `gap` event comes first when the log no longer reaches back to `after`. Ends at once when
        the log is not kept any more. Close it (`aclose`) to stop early."""
        followed = self._join(run_id)
        if followed.healer is None:
            followed.healer = asyncio.create_task(self._heal(run_id, followed.tail), name=f"heal {run_id}")
        try:
            place = await self._start(run_id, after, followed)
            if place is None:
                return
            if isinstance(place, Event):
                yield [place]
                place = place.place
            async for batch in self._from(run_id, place, followed):
                yield batch
        finally:
            self._leave(run_id, followed)

    async def _start(self, run_id: str, after: str, followed: _Followed) -> Place | Event | None:
        if after in (START_ID, "0-0"):
            return START
        await followed.listening()
        if after == NEW_ONLY:
            newest = await self.newest(run_id)
            return None if newest is None or newest.last else newest.place
        first, newest = [None if entry is None else _read(entry) for entry in await self._log.ends(run_id)]
        if newest is not None and newest.last and newest.place <= place_of(after):
            return None
        if newest is None or first is None or (first.place > place_of(after) and not first.first):
            return gap(after)
        return min(place_of(after), newest.place)

    async def _from(self, run_id: str, place: Place, followed: _Followed) -> AsyncGenerator[Sequence[Event], None]:
        tail = followed.tail
        while True:
            batch = tail.since(place)
            if batch is None:
                await followed.listening()
                batch = tail.since(place) or await self._read_at_last(run_id, place, tail)
            if batch:
                place = batch[-1].place
                yield batch
                if batch[-1].last:
                    return
            elif tail.gone:
                return
            elif tail.since(place) == []:  # nothing was heard while the Stream was read
                await tail.changed()

    async def _read_at_last(self, run_id: str, place: Place, tail: Tail) -> list[Event]:
        """Catch up, however long Redis is away: a reader that is there already stays, and misses nothing."""
        while True:
            try:
                return await self._catch_up(run_id, place, tail)
            except StoreUnavailable as error:
                log.debug("events.waiting", run=run_id, problem=str(error))
                await asyncio.sleep(_AGAIN_S)

    async def _catch_up(self, run_id: str, place: Place, tail: Tail) -> list[Event]:
        """Read the Stream; when that reached its end, the tail goes on from there."""
        breaks = tail.breaks
        events = await self.read(run_id, place)
        if len(events) < _READ and tail.breaks == breaks:
            tail.ends_at(events[-1].place if events else place)
        if not events and not await self.exists(run_id):
            tail.gone = True
        return events

    async def _heal(self, run_id: str, tail: Tail) -> None:
        """The slow timer: the Stream is read now and then even when nothing was heard."""
        while True:
            await asyncio.sleep(_HEAL_S)
            with suppress(StoreUnavailable):
                await self._find_missed(run_id, tail)
            tail.wake()

    async def _find_missed(self, run_id: str, tail: Tail) -> None:
        """Read on from where the tail ends. What is more than one read, or was read before a break, does not say where
        the log ends: then each reader reads the Stream itself."""
        breaks, end = tail.breaks, tail.end
        if end is None or not (missed := await self._catch_up(run_id, end, tail)) or tail.breaks != breaks:
            return
        if len(missed) < _READ:
            tail.add(end, missed)
        else:
            tail.hear(None)

    def _join(self, run_id: str) -> _Followed:
        followed = self._followed.get(run_id)
        if followed is None:
            tail = Tail()
            followed = _Followed(self._subscriber.listen(self._log.channel(run_id), tail.hear), tail)
            self._followed[run_id] = followed
        followed.readers += 1
        return followed

    def _leave(self, run_id: str, followed: _Followed) -> None:
        followed.readers -= 1
        if followed.readers == 0:
            self._subscriber.forget(self._log.channel(run_id))
            del self._followed[run_id]
            if followed.healer is not None:
                followed.healer.cancel()


def _heard(entry: Sequence[Any]) -> Event:
    name, frame, result, event_id = entry
    return _event(event_id, name, frame.encode(), result.encode() if result else None)


def _read(entry: Sequence[Any]) -> Event:
    event_id = entry[0].decode()
    stored = dict(zip(entry[1][::2], entry[1][1::2], strict=True))
    return _event(event_id, stored[b"n"].decode(), stored[b"f"], stored.get(b"r"))


def _event(event_id: str, name: str, frame: bytes, result: bytes | None = None) -> Event:
    return Event(event_id, place_of(event_id), name, with_id(frame, event_id), result)
